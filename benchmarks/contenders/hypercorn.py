"""hypercorn with uvloop."""

# /// script
# dependencies = ["hypercorn", "uvloop", "fastapi", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "-m hypercorn benchmarks.apps.same:app --bind {host}:{port} --worker-class uvloop --log-level warning"
# ///
