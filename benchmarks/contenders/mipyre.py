"""mipyre."""

# /// script
# dependencies = ["mipyre", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.14"]
# command = "@mipyre run benchmarks.contenders.mipyre:app --host {host} --port {port} --threads 1"
# ///

from mipyre import Mipyre

from benchmarks.apps import pyre_family

app = pyre_family.make(Mipyre, runtime="main")
