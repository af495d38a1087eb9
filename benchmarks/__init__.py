"""The A/B harness: what an unchanged app does under freelane and under another server.

Run it with ``python -m benchmarks``. It measures and reports; it never passes or fails by a time.
"""
