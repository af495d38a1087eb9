"""``python -m benchmarks.third_party [NAME]...``: an ordinary app behind popular middleware, over uvicorn on the GIL build.

Each middleware with its packages in environments of its own, made once. Answers are compared before
anything is timed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from freelane.bench import Request
from freelane.bench.runs import Timing

from .beside import HEAD, print_rows

PACKAGES: dict[str, tuple[str, ...]] = {
    "none": (),
    "correlation_id": ("asgi-correlation-id",),
    "prometheus": ("prometheus-fastapi-instrumentator",),
    "sentry": ("sentry-sdk",),
    "slowapi": ("slowapi",),
    "slowapi_asgi": ("slowapi",),
    "opentelemetry": ("opentelemetry-sdk", "opentelemetry-instrumentation-asgi"),
}
REQUESTS = tuple(Request(path=path, headers=(("authorization", "Bearer letmein"),)) for path in ("/items/7", "/def/7"))
TIMING = Timing(rounds=3, duration=2, warm_up=2)


def main(names: Sequence[str]) -> int:
    unknown = [name for name in names if name not in PACKAGES]
    if unknown:
        print(f"there is no {', '.join(unknown)}; there are {', '.join(PACKAGES)}", file=sys.stderr)
        return 2
    print(HEAD, flush=True)
    code = 0
    for name in names or PACKAGES:
        code |= print_rows(f"benchmarks.apps.third_party:app_{name}", name, PACKAGES[name], REQUESTS, TIMING)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
