"""SCHED_BATCH (sched(7)) for the server's threads while many short requests use up a core, and no longer.

Under it a wake-up does not preempt the thread that caused it, which is most of what a hand-over
between threads costs on a busy core. But a thread under it gets a core late where others
compute, in this process or beside it: there the default class answers sooner.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable

# Seconds between two looks.
INTERVAL = 0.25
# Requests per second, and cores in use by this process, from which hand-overs are what it does.
BRISK = 2000.0
BUSY = 0.85

TASKS = "/proc/self/task"


def describe(wanted: bool) -> str:
    """The scheduling class in force, in words."""
    if not hasattr(os, "sched_getscheduler"):
        return "default scheduling"
    if os.sched_getscheduler(0) == os.SCHED_BATCH:
        return "SCHED_BATCH"
    return "SCHED_BATCH under load" if wanted and os.path.isdir(TASKS) else "SCHED_OTHER"


def saturated(requests: int, cpu: float, seconds: float) -> bool:
    """Whether so many requests, and seconds of processor time, in so many seconds are worth SCHED_BATCH."""
    return requests >= BRISK * seconds and cpu >= BUSY * seconds


def put_threads_under(policy: int) -> None:
    """Put every thread of this process under a scheduling class; new ones inherit it."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(TASKS):
            with contextlib.suppress(OSError):  # it has ended, or the system does not allow it
                os.sched_setscheduler(int(thread), policy, os.sched_param(0))


async def follow_load(handled: Callable[[], int]) -> None:
    """Change the class as the load changes, until cancelled; ``handled`` counts requests."""
    if not hasattr(os, "sched_setscheduler") or not os.path.isdir(TASKS) or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    batch = False
    seen, cpu, wall = handled(), time.process_time(), time.monotonic()
    while True:
        await asyncio.sleep(INTERVAL)
        now_seen, now_cpu, now_wall = handled(), time.process_time(), time.monotonic()
        wanted = saturated(now_seen - seen, now_cpu - cpu, now_wall - wall)
        seen, cpu, wall = now_seen, now_cpu, now_wall
        if wanted is not batch:
            batch = wanted
            put_threads_under(os.SCHED_BATCH if batch else os.SCHED_OTHER)
