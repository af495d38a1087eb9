"""Run the Starlette or FastAPI app you already have on free-threaded Python, unchanged."""

__version__ = "0.1.0"
