"""Byte-for-byte replay: the same raw requests to uvicorn and to the server under test."""
