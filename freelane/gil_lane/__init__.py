"""The gil lane: endpoints whose C extensions need the GIL run in processes of their own. Imports adapters and fastcore.

- ``decorator``: ``@freelane.gil``
- ``routes``: which routes and paths are the lane's; ``lane`` puts it in their place
- ``client``: a worker's side, over the connections and calls of ``fastcore.lane``
- ``parcels``: what a route is given by the layers around it, from process to process
- ``supervisor``: starts, watches, ends and replaces the processes
- ``process``: what runs in such a process
- ``detect``: which endpoints need the lane, found without being told
- ``metrics``: counters for people who run it
"""
