"""gunicorn with uvicorn's worker."""

# /// script
# dependencies = ["gunicorn", "uvicorn-worker", "uvloop", "httptools", "fastapi", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "-m gunicorn benchmarks.apps.same:app --bind {host}:{port} -k uvicorn_worker.UvicornWorker --log-level warning"
# ///
