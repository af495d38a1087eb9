"""Replaying cases against a running server."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.servers import freelane, peers_python, serve, uvicorn

from .case import Case
from .wire import Observation, Session

TARGET = "compat_tests.replay.app"
FASTAPI_TARGET = "compat_tests.replay.fastapi_app.app"


def environment(journal: Path) -> dict[str, str]:
    """What both servers are started with; one hash seed, since Starlette prints sets in an Allow header."""
    return {"REPLAY_JOURNAL": str(journal), "PYTHONHASHSEED": "0"}


_numbers = itertools.count()


@dataclass
class Replayer:
    """One server's side of the comparison; a trace is made once per case and kept."""

    port: int
    journal: Path
    kept: dict[str, list[Observation]] = field(default_factory=dict)

    def trace(self, case: Case) -> list[Observation]:
        if case.name not in self.kept:
            self.kept[case.name] = self.replay(case)
        return self.kept[case.name]

    def replay(self, case: Case) -> list[Observation]:
        # The token has the same length each time: it is part of a path that some answers are as long as.
        token = f"{re.sub(r'[^a-z0-9]+', '-', case.name.lower())}-{next(_numbers):06d}"
        session = Session(self.port, self.journal, token)
        try:
            case.script(session)
        finally:
            session.close()
        return session.trace


@dataclass(frozen=True)
class Pair:
    """uvicorn and freelane with the same app."""

    reference: Replayer
    tested: Replayer


@contextmanager
def running_pair(
    target: str, journal: Path, *, workers: int = 1, root_path: str = "", transport: str = "auto"
) -> Iterator[Pair]:
    """Both servers with ``target``; only freelane's has more than one worker."""
    env = environment(journal)
    reference = serve(uvicorn(peers_python()), target, env=env, root_path=root_path)
    tested = serve(freelane(), target, env=env, workers=workers, root_path=root_path, transport=transport)
    with reference as left, tested as right:
        yield Pair(Replayer(left.port, journal), Replayer(right.port, journal))
