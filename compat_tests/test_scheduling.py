"""The scheduling class of the server's threads follows the load."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from freelane.server import scheduling

linux = pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="the system has no scheduling classes")


@pytest.mark.parametrize(
    ("requests", "cpu", "seconds", "worth"),
    [
        (1000, 0.25, 0.25, True),
        (62, 0.02, 0.25, False),  # 250 a second
        (62, 0.5, 0.25, False),  # an endpoint of the app's computes
        (1000, 0.1, 0.25, False),  # neighbours have the cores
        (0, 0.0, 0.25, False),
    ],
)
def test_only_many_requests_that_use_up_a_core_are_worth_it(requests: int, cpu: float, seconds: float, worth: bool) -> None:
    assert scheduling.saturated(requests, cpu, seconds) is worth


FOLLOW = """
import asyncio, os, threading
from freelane.server import scheduling

classes, handled = set(), iter(range(0, 10**9, 10**6))
ended = threading.Event()
other = threading.Thread(target=ended.wait)
other.start()

def of_all():
    return {os.sched_getscheduler(int(thread)) for thread in os.listdir(scheduling.TASKS)}

async def reach(wanted):
    async with asyncio.timeout(60):
        while of_all() != {wanted}:
            await asyncio.sleep(0.01)

async def main():
    loaded = True
    scheduling.saturated = lambda *of: loaded
    following = asyncio.create_task(scheduling.follow_load(lambda: next(handled)))
    await reach(os.SCHED_BATCH)
    loaded = False
    await reach(os.SCHED_OTHER)
    following.cancel()

asyncio.run(main())
ended.set()
print("followed")
"""


@linux
def test_every_thread_follows() -> None:
    done = subprocess.run([sys.executable, "-c", FOLLOW], capture_output=True, text=True, timeout=120)
    assert done.stdout == "followed\n", done.stderr
