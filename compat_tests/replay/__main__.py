"""``python -m compat_tests.replay``: prints every difference between uvicorn and the server under test."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.servers import freelane, peers_python, serve, uvicorn

from .cases import CASES, FASTAPI_CASES, ROOT_PATH_CASES
from .compare import differences
from .run import FASTAPI_TARGET, TARGET, Replayer, environment


def main() -> int:
    made = argparse.ArgumentParser(prog="python -m compat_tests.replay", description=__doc__)
    made.add_argument("--app", choices=("app", "stacked"), default="app")
    made.add_argument("--fastapi", action="store_true", help="the FastAPI app instead of the Starlette app")
    made.add_argument("--loops", type=int, default=1)
    made.add_argument("--root-path", default="")
    made.add_argument("--transport", default="auto")
    made.add_argument("names", nargs="*", help="cases; all when none is named")
    options = made.parse_args()
    cases = FASTAPI_CASES if options.fastapi else ROOT_PATH_CASES if options.root_path else CASES
    target = f"{FASTAPI_TARGET if options.fastapi else TARGET}:{options.app}"
    with tempfile.TemporaryDirectory() as journal:
        env = environment(Path(journal))
        reference = serve(uvicorn(peers_python()), target, env=env, root_path=options.root_path)
        tested = serve(
            freelane("--loops", str(options.loops)), target, env=env, root_path=options.root_path, transport=options.transport
        )
        with reference as left, tested as right:
            ours, theirs = Replayer(left.port, Path(journal)), Replayer(right.port, Path(journal))
            differing = 0
            for name in options.names or cases:
                found = differences(ours.trace(cases[name]), theirs.trace(cases[name]), reason_phrase=not options.fastapi)
                differing += bool(found)
                for aspect, (reference_saw, tested_saw) in found.items():
                    print(f"{name}: {aspect}")
                    print(f"    {left.contender.name}: {reference_saw}")
                    print(f"    {right.contender.name}: {tested_saw}", flush=True)
    print(f"{differing} of {len(options.names or cases)} cases differ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
