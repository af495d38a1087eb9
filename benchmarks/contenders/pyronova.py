"""pyronova, which Pyre became."""

# /// script
# dependencies = ["pyronova", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14"]
# command = "@pyronova run benchmarks.contenders.pyronova:app --host {host} --port {port}"
# ///

from pyronova import Pyronova

from benchmarks.apps import pyre_family

app = pyre_family.make(Pyronova, gil=True)
