"""The gil lane: endpoints whose C extensions need the GIL run in processes of their own.

- ``marks``: the ``@freelane.gil`` decorator
- ``routes``: which requests go to the lane
- ``client``: a worker's side, over the connections and calls of ``fastcore.calls``
- ``supervisor``: starts, watches, ends and replaces the processes
- ``process``: what runs in such a process, over the streams of ``fastcore.streams``
- ``detect``, ``extensions``, ``reach``: which endpoints need the lane, found without being told
- ``metrics``: counters for people who run it
"""
