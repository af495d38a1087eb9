"""Pyre-style demos: freelane run benchmarks.apps.pyre.agent:app, data:app, shop:app."""
