"""``python -m benchmarks.databases``: a SQLAlchemy session and a transaction for each request, on SQLite and PostgreSQL.

Over uvicorn on the GIL build, each server with a database of its own.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

from freelane.bench import Request
from freelane.bench.runs import Timing

from . import postgres
from .beside import HEAD, print_rows

# A driver, the app, and what it needs beside SQLAlchemy.
ROWS = {
    "sqlite": ("sqlite", "sessions", ()),
    "psycopg": ("psycopg", "sessions", ("psycopg",)),
    "psycopg on the loop": ("psycopg", "sessions_async", ("psycopg", "greenlet")),
    "asyncpg": ("asyncpg", "sessions_async", ("asyncpg", "greenlet")),
}
REQUESTS = (Request(path="/notes/7"), Request(path="/async/notes/7"))
TIMING = Timing(rounds=3, duration=2, warm_up=2)


def main() -> int:
    code = 0
    print(HEAD, flush=True)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        why = postgres.missing()
        url = "" if why else stack.enter_context(postgres.postgresql(directory, "freelane", "uvicorn"))
        for name, (driver, app, packages) in ROWS.items():
            if driver == "sqlite":
                urls = {server: f"sqlite:///{directory}/{server}.db" for server in ("freelane", "uvicorn")}
            elif why:
                print(f"| {name} | not timed: {why} | | | |", flush=True)
                continue
            else:
                made = url.replace("+psycopg", f"+{driver}")
                urls = {server: made.replace("@/postgres", f"@/{server}") for server in ("freelane", "uvicorn")}
            variables = {server: {"DATABASE_URL": found} for server, found in urls.items()}
            needs = ("sqlalchemy>=2.1", *packages)
            code |= print_rows(f"benchmarks.apps.{app}:app", name.replace(" ", "-"), needs, REQUESTS, TIMING, variables)
    return code


if __name__ == "__main__":
    sys.exit(main())
