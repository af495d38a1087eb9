"""A SQLAlchemy session and a transaction for each request, from 32 threads: nothing mixed, lost or left open."""

from __future__ import annotations

import http.client
import importlib
import json
import threading
import time
from collections.abc import Iterator

import pytest

from benchmarks.postgres import missing, postgresql
from benchmarks.servers import Running, freelane, serve
from freelane.adapters.compat import free_threading

sqlalchemy = pytest.importorskip("sqlalchemy")
pytestmark = pytest.mark.thread_unsafe(reason="starts threads of its own")

CLIENTS, EACH = 32, 3


def has_psycopg() -> bool:
    try:
        import psycopg  # noqa: F401
    except ImportError:  # not there, or without libpq
        return False
    return True


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL that the apps take turns with."""
    if why := missing() or ("" if has_psycopg() else "psycopg or libpq is not installed"):
        pytest.skip(why)
    with postgresql(tmp_path_factory.mktemp("database")) as url:
        yield url


KINDS = ["sessions on sqlite", "sessions_model on sqlite", "sessions on postgresql", "sessions_async on postgresql",
         "sessions_async on asyncpg"]  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    app, _, kind = request.param.partition(" on ")
    if app == "sessions_model":
        pytest.importorskip("sqlmodel")
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('database')}/notes.db"
    else:
        url = request.getfixturevalue("database")
    if kind == "asyncpg":
        pytest.importorskip("asyncpg")
        url = url.replace("+psycopg", "+asyncpg")
    with serve(freelane(), f"benchmarks.apps.{app}:app", env={"DATABASE_URL": url}) as found:
        yield found


def ask(connection: http.client.HTTPConnection, method: str, path: str) -> tuple[int, object]:
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def client(port: int, number: int, wrong: list[object]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        for turn in range(EACH):
            new = 1000 + number * EACH + turn
            note = {"id": new, "text": f"note {new}"}
            old = (number * EACH + turn) % 100 + 1
            for method, path, expected in (
                ("GET", f"/notes/{old}", (200, {"id": old, "text": f"note {old}"})),
                ("POST", f"/notes/{new}?fail=true", (409, {"detail": "taken back"})),
                ("GET", f"/notes/{new}", (404, {"detail": "no such note"})),
                ("POST", f"/notes/{new}", (201, note)),
                ("GET", f"/async/notes/{old}", (200, {"id": old, "text": f"note {old}"})),
            ):
                got = ask(connection, method, path)
                if got != expected:
                    wrong.append((method, path, got, expected))
    except Exception as exc:
        wrong.append(exc)
    finally:
        connection.close()


def test_32_threads_with_a_transaction_for_each_request(running: Running) -> None:
    wrong: list[object] = []
    threads = [threading.Thread(target=client, args=(running.port, number, wrong)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [], running.output()
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    deadline = time.monotonic() + 60
    # A connection is handed back after the response.
    while (found := ask(connection, "GET", "/state"))[1] != {
        "notes": 100 + CLIENTS * EACH,
        "out": 1,
    } and time.monotonic() < deadline:
        time.sleep(0.05)
    connection.close()
    assert found == (200, {"notes": 100 + CLIENTS * EACH, "out": 1})


def test_statements_keep_their_cache_key_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    cache_key = importlib.import_module("sqlalchemy.sql.cache_key")
    kind = cache_key.MemoizedHasCacheKey
    expected = sqlalchemy.select(sqlalchemy.column("a")).where(sqlalchemy.column("b") == 1)._generate_cache_key()
    assert free_threading.memoize_statements_unnamed()
    statement = sqlalchemy.select(sqlalchemy.column("a")).where(sqlalchemy.column("b") == 1)
    assert statement._generate_cache_key() == expected
    assert statement._generate_cache_key() is statement._generate_cache_key()
    assert "_generate_cache_key" in statement._memoized_keys
    assert "_generate_cache_key" not in vars(statement.where(sqlalchemy.column("c") == 1))
    monkeypatch.setattr(kind, "_generate_cache_key", lambda self: None)
    assert not free_threading.memoize_statements_unnamed()
