"""``--reload``: watch files, and start the process that serves again when one changes.

This process holds the listening socket, so that a client waits where another one would be refused.
The rules for files are uvicorn's.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from freelane.server.handover import COMMAND, DIRECTORY, ENVIRONMENT, spawns
from freelane.server.processes import Place, Process, Processes, kill
from freelane.server.sockets import Listener
from freelane.settings import Settings

# What running requests get when the code has changed, unless an option says more (seconds).
PATIENCE = 2
SKIPPED = {".git", ".venv", "venv", "__pycache__", "node_modules", ".tox", ".mypy_cache"}


class Files:
    """Which files matter; ``directories`` are watched with all below them."""

    def __init__(self, settings: Settings) -> None:
        given = [Path(name) for name in settings.reload_dirs]
        includes, excludes = settings.reload_includes, settings.reload_excludes
        given += [Path(name) for name in includes if Path(name).is_dir()]
        self.directories = sorted({path.resolve() for path in given if path.is_dir()}) or [Path.cwd()]
        self.excluded = [Path(name).resolve() for name in excludes if Path(name).is_dir()]
        self.includes = {"*.py", *includes} - set(excludes)
        self.excludes = {".*", ".py[cod]", ".sw.*", "~*", *(name for name in excludes if not Path(name).is_dir())} - set(
            includes
        )

    def matter(self, path: Path) -> bool:
        if not any(path.match(pattern) for pattern in self.includes):
            return False
        if any(directory in path.parents for directory in self.excluded):
            return False
        return not any(path.match(pattern) for pattern in self.excludes)

    def changes(self, delay: float, ended: threading.Event) -> Iterator[list[Path]]:
        """The files that changed, each time some did."""
        try:
            import watchfiles
        except ImportError:
            yield from self.poll(delay, ended)
            return
        for found in watchfiles.watch(
            *self.directories, watch_filter=None, stop_event=ended, step=50, debounce=max(50, int(delay * 1000)),
            ignore_permission_denied=True,
        ):  # fmt: skip
            yield [path for path in {Path(name) for _, name in found} if self.matter(path)]

    def poll(self, delay: float, ended: threading.Event) -> Iterator[list[Path]]:
        known = self.snapshot()
        while not ended.wait(max(delay, 0.05)):
            current = self.snapshot()
            yield sorted({path for path, _ in known.items() ^ current.items()})
            known = current

    def snapshot(self) -> dict[Path, int]:
        times = {}
        for directory in self.directories:
            for root, names, files in os.walk(directory):
                names[:] = [name for name in names if name not in SKIPPED]
                for path in (Path(root, name) for name in files):
                    if self.matter(path):
                        try:
                            times[path] = path.stat().st_mtime_ns
                        except OSError:
                            continue
        return times


class Reloader(Processes):
    """One process, ended and started again at each change; one that cannot start waits for the next."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        patience = min(settings.patience, PATIENCE) if settings.timeout_graceful_shutdown is None else settings.patience
        environment = ENVIRONMENT
        if patience != settings.patience:
            environment = {**ENVIRONMENT, "FREELANE_SHUTDOWN_TIMEOUT": str(patience)}
        super().__init__(1, spawns(listener, COMMAND, environment, DIRECTORY), patience)
        # The child prints it.
        self.line = ""
        self.files = Files(settings)
        self.delay = settings.reload_delay
        self.ended = threading.Event()
        # Files that changed since the last look; a list is appended to and swapped.
        self.changed: list[Path] = []
        for sock in listener.sockets:
            sock.listen(settings.backlog)  # who comes before the first start waits as well

    def run(self) -> int:
        watcher = threading.Thread(target=self.watch, name="freelane-reload", daemon=True)
        watcher.start()
        names = ", ".join(str(path) for path in self.files.directories)
        print(f"freelane: watching {names} [{os.getpid()}]", file=sys.stderr, flush=True)
        try:
            return super().run()
        finally:
            self.ended.set()

    def watch(self) -> None:
        for paths in self.files.changes(self.delay, self.ended):
            self.changed += paths

    def step(self) -> None:
        super().step()
        if not self.changed or self.deadline is not None:
            return
        changed, self.changed = self.changed, []
        (place,) = self.places
        shown = ", ".join(sorted({os.path.relpath(path) for path in changed})[:3])
        print(f"freelane: {shown} changed: starting again", file=sys.stderr, flush=True)
        process = place.current
        if process is None:
            place.due = 0.0
            return
        place.current = None
        self.retire_now(place, process)

    def retire_now(self, place: Place, process: Process) -> None:
        self.retire(place, process)
        kill(process, 15)

    def died(self, place: Place, process: Process, code: int) -> None:
        if process in place.leaving:
            place.leaving.remove(process)
            if self.deadline is None and place.current is None:
                place.due = 0.0
            return
        place.current = None
        if self.deadline is None:
            print(f"freelane: ended with {code}: waiting for a change", file=sys.stderr, flush=True)
