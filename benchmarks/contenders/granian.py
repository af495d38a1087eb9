"""granian's ASGI interface."""

# /// script
# dependencies = ["granian", "uvloop", "fastapi", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "-m granian --interface asgi benchmarks.apps.same:app --host {host} --port {port} --log-level warning"
# ///
