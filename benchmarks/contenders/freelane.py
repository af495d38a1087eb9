"""freelane, in the environment that runs the comparison."""

# /// script
# dependencies = []
# [tool.freelane-bench]
# pythons = ["3.14t", "3.13t", "3.14", "3.13"]
# command = "-m freelane.cli.main run benchmarks.apps.same:app --host {host} --port {port} --log-level warning"
# ///
