"""JSON and query strings. Imports nothing of ours."""
