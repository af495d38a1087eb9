.PHONY: demo test

# Set up what is missing, serve the demo app, compare it with uvicorn.
demo:
	@./bootstrap.sh
	@.venv/bin/python -m benchmarks.demo

# Set up what is missing, run every test.
test:
	@./bootstrap.sh
	@.venv/bin/python -m pytest
