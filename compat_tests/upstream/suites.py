"""The suites that are run: Starlette's and FastAPI's."""

from __future__ import annotations

from compat_tests.upstream import expected
from compat_tests.upstream.suite import Suite

STARLETTE = Suite(
    "starlette",
    # Tests that are not ours to parametrise run once, on asyncio.
    ("-k", "asyncio", "--ignore=tests/middleware/test_opentelemetry.py"),
    expected.STARLETTE,
    least=565,  # of the 611 of Starlette 1.10
    seconds=1800,
)
FASTAPI = Suite(
    "fastapi",
    (
        # One process: tests that share ./static and ./log.txt cannot meet.
        *("-k", "not trio", "-o", "timeout=600"),
        # Not about serving: codspeed's benchmarks, and the release script.
        *("--ignore=tests/benchmarks", "--ignore=tests/memory_benchmarks", "--ignore=tests/test_prepare_release.py"),
    ),
    expected.FASTAPI,
    least=4800,  # of the 4830 or so of FastAPI 0.165 that the packages here let pass
    seconds=3600,
)
