"""Restart the app's script when a Python file below its directory changes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SKIPPED = {".git", ".venv", "__pycache__", "node_modules"}


def run_with_reload() -> None:
    """Run this process's own command again as a child, and again at each change, until interrupted."""
    directory = Path(sys.argv[0]).resolve().parent
    command = [sys.executable, *sys.orig_argv[1:]]
    changes = watch(directory)
    while True:
        child = subprocess.Popen(command, env={**os.environ, "_PYRE_RELOAD_CHILD": "1"})
        try:
            names = next(changes)
            print(f"  [reload] File changed: {', '.join(names[:3])}; restarting", flush=True)
        except KeyboardInterrupt:
            return
        finally:
            stop(child)


def stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(timeout=35)  # the server gives requests 30 seconds
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def watch(directory: Path) -> Iterator[list[str]]:
    """The names of changed files, each time there are some."""
    try:
        import watchfiles
    except ImportError:
        yield from poll(directory)
        return
    for changes in watchfiles.watch(directory, watch_filter=watchfiles.PythonFilter(), debounce=500):
        yield [Path(path).name for _, path in changes]


def poll(directory: Path, interval: float = 1.0) -> Iterator[list[str]]:
    known = snapshot(directory)
    while True:
        time.sleep(interval)
        current = snapshot(directory)
        changed = {path for path, _ in set(known.items()) ^ set(current.items())}
        known = current
        if changed:
            yield sorted(Path(path).name for path in changed)


def snapshot(directory: Path) -> dict[str, int]:
    times = {}
    for root, names, files in os.walk(directory):
        names[:] = [name for name in names if name not in SKIPPED]
        for file in files:
            if file.endswith(".py"):
                try:
                    times[os.path.join(root, file)] = os.stat(os.path.join(root, file)).st_mtime_ns
                except FileNotFoundError:
                    pass
    return times
