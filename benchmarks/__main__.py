"""``python -m benchmarks``: the server under test against a peer, in one run."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import interpreters, load, machine, report
from .load import LoadFailed, Request
from .pyre_peer import pyre
from .runs import LANES, Lane, Row, Say, run_lane
from .servers import PeersMissing, Server, ServerFailed, granian_asgi, peers_python, subject, uvicorn, versions
from .suites import SUITES, Suite


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    named = "; ".join(f"{name}: {', '.join(lane.name for lane in suite.lanes)}" for name, suite in SUITES.items())
    made.add_argument("--app", default="hello", help=f"{', '.join(SUITES)} or your own MODULE:APP (default: %(default)s)")
    made.add_argument("--path", help="measure GET of this path instead of the app's lanes")
    made.add_argument("--lanes", default="", help=f"comma-separated; there are, for {named}")
    made.add_argument("--against", choices=("uvicorn", "granian-asgi", "pyre", "none"), default="uvicorn")
    made.add_argument("--rounds", type=_count, default=5, help="turns per server (default: %(default)s)")
    made.add_argument("--seconds", type=_count, default=5, help="length of a turn (default: %(default)s)")
    made.add_argument("--json", type=Path, metavar="FILE", help="also write the report here as JSON")
    return made


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 600:
        raise argparse.ArgumentTypeError("must be from 1 to 600")
    return number


def choose_lanes(names: str, path: str | None, lanes: Sequence[Lane] = LANES) -> list[Lane]:
    if path is not None:
        return [Lane("custom", f"GET {path}", Request(path=path))]
    known = {lane.name: lane for lane in lanes}
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"unknown lanes: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in wanted]


def compare(
    target: str, lanes: Sequence[Lane], against: Server | None, *, rounds: int, seconds: float, say: Say
) -> tuple[report.Circumstances, list[Row], list[report.Ratio]]:
    """One whole run; a peer of None measures the server under test alone."""
    ours = subject()
    servers = [ours, *([against] if against else [])]
    before = machine.describe()
    circumstances = report.Circumstances(
        before, servers, {s.name: versions(s) for s in servers}, load.generator(), target, rounds, seconds
    )
    rows: list[Row] = []
    for lane in lanes:
        say(f"{lane.name}: {lane.what}")
        rows += run_lane(lane, servers, target, rounds=rounds, seconds=seconds, say=say)
    found = report.ratios(rows, ours.name, against.name if against else None)
    if against and any(lane.scales for lane in lanes):
        found.append(interpreters.compare(ours, against, rounds))
    return circumstances, rows, found


def choose_peer(name: str) -> Server | None:
    if name == "none":
        return None
    if name == "pyre":
        return pyre()
    return granian_asgi() if name == "granian-asgi" else uvicorn(peers_python())


def end_on_sigterm() -> None:
    """A plain kill unwinds like Ctrl-C, so that the servers are stopped."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def say_on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    suite = SUITES.get(options.app, Suite(options.app, LANES))
    lanes = choose_lanes(options.lanes, options.path, suite.lanes)
    end_on_sigterm()
    try:
        peer = choose_peer(options.against)
        circumstances, rows, found = compare(
            suite.target, lanes, peer, rounds=options.rounds, seconds=options.seconds, say=say_on_stderr
        )
    except PeersMissing as error:
        say_on_stderr(f"no environment for the other server: {error}\n--against none measures without it")
        return 1
    except (ServerFailed, LoadFailed) as error:
        say_on_stderr(str(error))
        return 1
    except KeyboardInterrupt:
        say_on_stderr("stopped")
        return 130
    print(report.text(circumstances, rows, found))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(circumstances, rows, found), indent=2) + "\n")
    # An invalid row is a wrong answer, not a slow one.
    return 1 if any(row.invalid for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
