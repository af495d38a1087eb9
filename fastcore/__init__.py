"""The compiled core: router, futures, scheduler and protocol bridges.

Knows no framework and imports nothing from ``freelane.adapters`` or the rest of
``freelane``. Every extension module here declares ``freethreading_compatible``.
"""
