"""Upstream's own test suites, run against us."""
