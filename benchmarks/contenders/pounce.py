"""bengal-pounce, made for free-threaded Python."""

# /// script
# dependencies = ["bengal-pounce", "fastapi", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14t", "3.14"]
# command = "@pounce serve --app benchmarks.apps.same:app --host {host} --port {port} --no-access-log --log-level warning"
# ///
