"""Worker processes for builds with the GIL, where worker threads would take turns."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from freelane.errors import EXIT_CONFIG, EXIT_STARTUP, ConfigError

PR_SET_PDEATHSIG = 1
# A worker that dies is replaced after this long, doubled up to a minute while it keeps dying (seconds).
BACK_OFF = 1.0


def supervise(count: int, serve: Callable[[int], int]) -> int:
    """Fork ``count`` workers that run ``serve(index)``; returns the exit code for this process.

    A worker that cannot start ends the others; one that dies later is replaced.
    """
    children: dict[int, tuple[int, float]] = {}
    stopping: list[int] = []

    def on_signal(number: int, frame: Any) -> None:
        stopping.append(number)
        for pid in list(children):
            os.kill(pid, number)

    handlers = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    failed, delay = 0, BACK_OFF
    for index in range(count):
        children[fork(index, serve)] = index, time.monotonic()
    try:
        while children:
            pid, status = os.wait()
            if pid not in children:
                continue
            index, born = children.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if code in (EXIT_CONFIG, EXIT_STARTUP):
                failed = code
            if failed or code == 0:
                if failed and not stopping:
                    on_signal(signal.SIGTERM, None)
                continue
            if not stopping:
                delay = BACK_OFF if time.monotonic() - born > 60 else min(delay * 2, 60.0)
                print(f"worker {index + 1} died with {code}; a new one starts in {delay:.0f} s", file=sys.stderr)
                time.sleep(delay)
                if not stopping:
                    children[fork(index, serve)] = index, time.monotonic()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return failed


def die_with(parent: int) -> None:
    """End this process when the thread that started it ends, however that comes (prctl(2), PR_SET_PDEATHSIG).

    Elsewhere than on Linux it must notice by itself. Exits at once if ``parent`` is gone already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def fork(index: int, serve: Callable[[int], int]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    die_with(parent)
    code = 1
    try:
        code = serve(index)
    except ConfigError as exc:
        print(f"freelane: {exc}", file=sys.stderr)
        code = EXIT_CONFIG
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
