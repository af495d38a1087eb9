"""Run the Starlette or FastAPI app you already have on free-threaded Python, unchanged."""
