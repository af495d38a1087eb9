.PHONY: check demo test test-all

PYTHON = .venv/bin/python
# One process more than cores, since many cases wait; a module's cases, or those of one pair of servers, stay together.
PARALLEL = -n $(shell echo $$(($$(nproc) + 1))) --maxprocesses 8 --dist loadgroup --no-loadscope-reorder --durations 25

# Set up what is missing, serve the demo app, compare it with uvicorn.
demo:
	@./bootstrap.sh
	@$(PYTHON) -m benchmarks.demo

# Set up what is missing, run every test.
test:
	@./bootstrap.sh
	@$(PYTHON) -m pytest $(PARALLEL)

# The same, and all that examples stand for there: the whole suite on a Python with the GIL, a wheel from the sources.
test-all:
	@./bootstrap.sh
	@$(PYTHON) -m pytest --exhaustive $(PARALLEL)

# While editing: lint, format, types, and the tests that need no server.
check:
	@./bootstrap.sh
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check --quiet .
	@PATH=.venv/bin:$$PATH cython-lint fastcore adapters
	@$(PYTHON) -m mypy
	@$(PYTHON) -m pytest -q -m unit $(PARALLEL)
