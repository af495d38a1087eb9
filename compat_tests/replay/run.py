"""Replaying cases against a running server."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.servers import freelane, peers_python, serve, uvicorn

from .case import Case
from .compare import Differences, differences
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
    kept: dict[tuple[str, float], list[Observation]] = field(default_factory=dict)

    def trace(self, case: Case, patience: float = 1.0) -> list[Observation]:
        if (case.name, patience) not in self.kept:
            self.kept[case.name, patience] = self.replay(case, patience)
        return self.kept[case.name, patience]

    def replay(self, case: Case, patience: float = 1.0) -> list[Observation]:
        # The token has the same length each time: it is part of a path that some answers are as long as.
        token = f"{re.sub(r'[^a-z0-9]+', '-', case.name.lower())}-{next(_numbers):06d}"
        session = Session(self.port, self.journal, token, patience)
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

    def differences(self, case: Case, as_wanted: Callable[[Differences], bool], *, reason_phrase: bool = True) -> Differences:
        """Where the answers differ. What is not wanted is asked for again with ten times the patience: a busy machine is slow."""
        for patience in (1.0, 10.0):
            seen = self.reference.trace(case, patience), self.tested.trace(case, patience)
            found = differences(*seen, reason_phrase=reason_phrase)
            if as_wanted(found):
                break
        return found


@contextmanager
def running_pair(target: str, journal: Path, *, loops: int = 1, root_path: str = "", transport: str = "auto") -> Iterator[Pair]:
    """Both servers with ``target``; only freelane's has more than one loop."""
    env = environment(journal)
    reference = serve(uvicorn(peers_python()), target, env=env, root_path=root_path)
    tested = serve(freelane("--loops", str(loops)), target, env=env, root_path=root_path, transport=transport)
    with reference as left, tested as right:
        yield Pair(Replayer(left.port, journal), Replayer(right.port, journal))
