"""uvicorn with uvloop and httptools."""

# /// script
# dependencies = ["uvicorn", "uvloop", "httptools", "fastapi", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "-m uvicorn benchmarks.apps.same:app --host {host} --port {port} --log-level warning --no-access-log"
# ///
