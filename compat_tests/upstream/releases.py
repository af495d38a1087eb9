"""Run FastAPI's own suites of releases across the range that is compiled, without freelane and with it.

    python -m compat_tests.upstream.releases [FASTAPI STARLETTE]...

A suite of an older release fails here and there by itself, on newer libraries than its own:
what counts is which tests pass without freelane and fail with it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from compat_tests.upstream.suite import Results, Run, fetch, unpack
from compat_tests.upstream.suites import FASTAPI

ROOT = Path(__file__).resolve().parents[2]
RELEASES = (
    "0.110.0", "0.36.3", "0.115.14", "0.46.2", "0.121.3", "0.49.3", "0.128.8", "0.52.1",
    "0.140.0", "1.10.0", "0.155.0", "1.10.0", "0.160.0", "1.10.0",
)  # fmt: skip
# Not about serving, or broken without freelane by newer libraries as a whole.
IGNORED = ("tests/benchmarks", "tests/memory_benchmarks", "tests/test_prepare_release.py", "tests/test_fastapi_cli.py")


def frameworks(fastapi: str, starlette: str) -> Path:
    # Older test clients need an older httpx.
    more = ["httpx==0.27.2"] if tuple(map(int, starlette.split(".")[:2])) < (0, 42) else []
    done = subprocess.run(["bash", "bootstrap.sh", "release", fastapi, starlette, *more], cwd=ROOT, check=True,
                          stdout=subprocess.PIPE, text=True)  # fmt: skip
    return Path(done.stdout.splitlines()[-1])


def both(fastapi: str, starlette: str) -> tuple[Results, Results]:
    """The suite of one release without freelane, and with it."""
    first = frameworks(fastapi, starlette)
    archive = fetch("fastapi", fastapi)
    options = ["-k", "not trio", "-W", "ignore", *(f"--ignore={name}" for name in IGNORED), "--continue-on-collection-errors"]
    made = []
    with tempfile.TemporaryDirectory() as directory:
        for name, more in (("plain", []), ("freelane", ["-p", "compat_tests.upstream.plugin"])):
            place = Path(directory) / name
            place.mkdir()
            root = unpack(archive, "fastapi", place)
            made.append(Run(root, Path(directory) / f"{name}.xml", *options, *more, first=first))
        try:
            plain, ours = (run.results(3600) for run in made)
        finally:
            for run in made:
                run.stop()
    return plain, ours


def main(words: list[str]) -> int:
    given = words or list(RELEASES)
    lost = 0
    for fastapi, starlette in zip(given[::2], given[1::2], strict=True):
        plain, ours = both(fastapi, starlette)
        failing = sorted(
            test for test in plain.passed - ours.passed if test.partition("[")[0] not in FASTAPI.expected
        )  # fmt: skip
        lost += len(failing)
        print(f"FastAPI {fastapi}, Starlette {starlette}: {len(plain.passed)} pass without freelane, "
              f"{len(plain.passed & ours.passed)} with it", *failing, sep="\n  ", flush=True)  # fmt: skip
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
