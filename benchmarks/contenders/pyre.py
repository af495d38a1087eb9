"""Pyre 1.5.0, the last of that name."""

# /// script
# dependencies = ["pyreframework==1.5.0", "sqlalchemy"]
# [tool.freelane-bench]
# pythons = ["3.13"]
# command = "-m benchmarks.contenders.pyre"
# ///

import os

from pyreframework import Pyre

from benchmarks.apps import pyre_family

app = pyre_family.make(Pyre, gil=True)

if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]), workers=1)
