"""weft-server, in Rust."""

# /// script
# dependencies = ["weft-server", "uvloop", "fastapi", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "@weft --host {host} --port {port} --log-level warning benchmarks.apps.same:app"
# ///
