"""Follows the file of the way over while the server runs, and writes into it how far the way is."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from freelane.errors import ConfigError
from freelane.migration import state_file
from freelane.migration.front import Migration
from freelane.migration.patterns import percent
from freelane.migration.plan import Plan

logger = logging.getLogger("freelane.error")

# Seconds between two looks at the file, and between two entries.
LOOK, WRITE = 0.25, 5.0

Totals = dict[str, Counter[str]]


class Journal:
    """On a thread of its own: a disk may be slow. Several processes of one server share the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.front: Migration | None = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, name="freelane-migration", daemon=True)
        self.stamp: Any = self.look()
        self.moves = state_file.moves_of(state_file.read(path))
        self.written: Totals = {}
        self.complained = False

    def follow(self, front: Migration) -> None:
        """Move the front by what the file says already; what is left there of another way is told, and stops no start."""
        self.front = front
        start = front.plan
        try:
            front.move(self.moves)
        except ConfigError as exc:
            logger.warning("%s: %s; its shares are not followed.", self.path, exc)
            return
        if changes := told(start, front.plan):
            logger.info("%s says: %s.", self.path, "; ".join(changes))

    async def start(self) -> None:
        self.thread.start()

    async def stop(self) -> None:
        self.ended.set()
        await asyncio.to_thread(self.thread.join)

    def run(self) -> None:
        due = time.monotonic() + WRITE
        while not self.ended.wait(LOOK):
            self.reread()
            if time.monotonic() >= due:
                self.write()
                due = time.monotonic() + WRITE
        self.write()

    def look(self) -> Any:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def reread(self) -> None:
        stamp = self.look()
        if stamp == self.stamp:
            return
        self.stamp = stamp
        assert self.front is not None
        try:
            moves = state_file.moves_of(state_file.read(self.path))
            if moves == self.moves:
                return
            before = self.front.plan
            self.front.move(moves)
            self.moves = moves
        except ConfigError as exc:
            logger.error("%s; all stays as it was.", exc)
            return
        for change in told(before, self.front.plan):
            logger.warning("Moved: %s.", change)

    def write(self) -> None:
        assert self.front is not None
        totals = totals_of(self.front)
        more = {route: counts - self.written.get(route, Counter()) for route, counts in totals.items()}
        more = {route: counts for route, counts in more.items() if counts}
        if not more:
            return

        def add(table: dict[str, Any]) -> None:
            progress = table.setdefault("progress", {})
            progress["updated"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            for route, counts in sorted(more.items()):
                place = progress.setdefault(route, {})
                for name, count in sorted(counts.items()):
                    place[name] = place.get(name, 0) + count

        try:
            state_file.update(self.path, add)
        except ConfigError as exc:
            if not self.complained:
                self.complained = True
                logger.warning("How far the way is cannot be written down: %s.", exc)
            return
        self.written = totals


def totals_of(front: Migration) -> Totals:
    """What is written of each route: who answered, and what became of copies."""
    found: Totals = {}
    for route, counts in front.counters.snapshot().items():
        totals = found[route] = Counter({f"answered by {side}": count for side, count in counts.by_side().items()})
        totals.update({f"copies {outcome}": count for outcome, count in counts.copies.items()})
    return found


def told(before: Plan, after: Plan) -> list[str]:
    """What is different between two plans, in words."""
    old = {(rule.pattern.text, rule.side.name): rule.share for rule in before.rules}
    new = {(rule.pattern.text, rule.side.name): rule.share for rule in after.rules}
    changes = []
    for key in (*new, *(key for key in old if key not in new)):
        if old.get(key) != new.get(key):
            text, side = key
            what = "all requests" if text == "*" else text
            now = f"{side} answers {percent(new[key])}" if key in new else "as all requests"
            changes.append(f"{what}: {now}" + (f", not {percent(old[key])}" if key in old else ""))
    if before.shadow != after.shadow:
        changes.append(f"copies are {'made' if after.shadow else 'no longer made'}")
    return changes
