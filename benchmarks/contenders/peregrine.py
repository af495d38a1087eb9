"""peregrine-server, in Swift."""

# /// script
# dependencies = ["peregrine-server", "uvloop", "fastapi", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "@peregrine --host {host} --port {port} benchmarks.apps.same:app"
# ///
