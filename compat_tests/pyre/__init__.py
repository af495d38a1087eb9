"""The Pyre adapter: its own tests, beside Pyre's in test_upstream_pyre.py."""
