"""32 clients at once on a real server: no answer of another's request, nothing left open, no task lost."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient

from benchmarks.servers import Running, freelane, serve
from compat_tests import threads_app

pytestmark = pytest.mark.thread_unsafe(reason="starts threads of its own")

CLIENTS = 32
SECONDS = 6.0


def expect(kind: str, token: str, number: int) -> tuple[str, str, dict[str, str], bytes, int, Any]:
    """Method, target, headers, body, and the status and body that must come."""
    query = urlencode({"token": token})
    values = {"token": token, "values": [number, number + 1], "inner": {token: number}}
    as_json = {"content-type": "application/json"}
    # What a `def` dependency sets stays in its thread's copy of the context.
    opened = f"unset unset {token} {token}"
    match kind:
        case "/def/plain" | "/async/plain":
            seen = {"token": token, "n": number, "found": "unset", "now": token}
            return "GET", f"{kind}?{query}&n={number}", {}, b"", 200, seen
        case "/def/plain wrong" | "/async/plain wrong":
            error = {"type": "int_parsing", "loc": ["query", "n"], "input": f"x{token}"}
            error["msg"] = "Input should be a valid integer, unable to parse string as an integer"
            return "GET", f"{kind.split()[0]}?{query}&n=x{token}", {}, b"", 422, {"detail": [error]}
        case "/def/depends" | "/async/depends":
            calls = [1, 1] if kind == "/def/depends" else [1, 2]
            seen = {"token": token, "opened": opened, "now": token, "calls": calls}
            return "GET", f"{kind}/{token}", {}, b"", 200, seen
        case "/def/item":
            return "POST", f"{kind}?{query}", as_json, json.dumps(values).encode(), 200, values
        case "/async/item":
            return "POST", f"{kind}?{query}", as_json, json.dumps({"item": values}).encode(), 200, values
        case "/def/form":
            headers = {"content-type": "application/x-www-form-urlencoded", "x-token": token, "cookie": f"session={token}"}
            return "POST", f"{kind}?{query}", headers, urlencode({"name": token}).encode(), 200, [token] * 4
        case "/def/refused":
            return "GET", f"{kind}?{query}", {}, b"", 409, f"refused {token} {token}"
        case "/async/raised":
            return "GET", f"{kind}?{query}", {}, b"", 418, {"detail": token}
        case "/def/failed":
            return "GET", f"{kind}?{query}", {}, b"", 500, "Internal Server Error"
        case "/def/stream":
            return "GET", f"{kind}?{query}", {}, b"", 200, "".join(f"{token} {part} " for part in range(5))
        case _:
            return "GET", f"{kind}?{query}", {}, b"", 200, token


KINDS = [
    "/def/plain", "/async/plain", "/def/plain wrong", "/async/plain wrong", "/def/depends", "/async/depends", "/def/item",
    "/async/item", "/def/form", "/def/tasks", "/async/tasks", "/def/refused", "/async/raised", "/def/failed", "/def/stream",
]  # fmt: skip


class Client(threading.Thread):
    """Asks in random order over one connection until the deadline; keeps what was wrong."""

    def __init__(self, port: int, number: int, start: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self.port, self.number, self.begin = port, number, start
        self.asked: Counter[str] = Counter()
        self.wrong: list[str] = []

    def run(self) -> None:
        chance = random.Random(self.number)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        self.begin.wait()
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and len(self.wrong) < 3:
            kind = chance.choice(KINDS)
            token = f"t{self.number}-{self.asked.total()}"
            try:
                self.ask(connection, kind, token)
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(f"{kind}: {error!r}")
                connection.close()
            self.asked[kind] += 1
        connection.close()

    def ask(self, connection: http.client.HTTPConnection, kind: str, token: str) -> None:
        method, target, headers, body, status, wanted = expect(kind, token, self.asked.total())
        connection.request(method, target, body or None, headers)
        answer = connection.getresponse()
        content = answer.read().decode()
        got = json.loads(content) if answer.headers.get("content-type") == "application/json" else content
        if (answer.status, got) != (status, wanted):
            self.wrong.append(f"{kind}: {answer.status} {got!r} where {status} {wanted!r} belongs")
        for name in ("x-token", "set-cookie"):
            value = answer.headers.get(name)
            if value is not None and value.split(";")[0].removeprefix("token=") != token:
                self.wrong.append(f"{kind}: {name} {value!r} for {token}")
        if kind == "/async/tasks" and answer.headers.get("x-token") is None:
            self.wrong.append(f"{kind}: no x-token")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serve(freelane(), "compat_tests.threads_app:app", log_level="critical") as running:
        yield running


@pytest.fixture(scope="module")
def clients(server: Running) -> list[Client]:
    start = threading.Barrier(CLIENTS)
    made = [Client(server.port, number, start) for number in range(CLIENTS)]
    for client in made:
        client.start()
    for client in made:
        client.join(SECONDS + 120)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_expectations_are_those_of_plain_fastapi(kind: str) -> None:
    method, target, headers, body, status, wanted = expect(kind, "token", 7)
    client = TestClient(threads_app.app, raise_server_exceptions=False)
    answer = client.request(method, target, headers=headers, content=body)
    got = answer.json() if answer.headers.get("content-type") == "application/json" else answer.text
    assert (answer.status_code, got) == (status, wanted)


def test_every_answer_is_of_its_own_request(clients: list[Client]) -> None:
    assert [problem for client in clients for problem in client.wrong] == []


def test_every_kind_was_asked_by_every_client(clients: list[Client]) -> None:
    asked = sum((client.asked for client in clients), Counter())
    assert set(asked) == set(KINDS)
    assert min(client.asked.total() for client in clients) > 0


def test_nothing_stays_open_and_no_task_is_lost(server: Running, clients: list[Client]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("GET", "/ledger")
        ledger = json.loads(connection.getresponse().read())
        connection.close()
        if not any(ledger.values()):
            break
        time.sleep(0.05)
    assert ledger.keys() == {"open def", "open async", "tasks"}
    assert {name: left for name, left in ledger.items() if left} == {}
