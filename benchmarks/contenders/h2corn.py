"""h2corn, in Rust; HTTP/1.1 here as all the others."""

# /// script
# dependencies = ["h2corn", "uvloop", "fastapi", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14", "3.13"]
# command = "@h2corn --bind {host}:{port} benchmarks.apps.same:app"
# ///
