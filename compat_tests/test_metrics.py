"""The metrics page: one for all processes of a server, those that have ended included."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import free_port
from compat_tests.servers import Server, running
from compat_tests.test_operation import metrics
from compat_tests.test_restart import GATE, alive, ask, until, write
from freelane.server import page
from freelane.server.ledger import Family, Ledger, Measures, parse

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")


def requests(port: int) -> float:
    return sum(value for name, value in metrics(port).items() if name.startswith("freelane_requests_total"))


def ask_all(server: Server, count: int) -> set[int]:
    """So many requests, on connections of their own; the processes that answered."""
    return {ask(server)[1] for _ in range(count)}


def test_one_page_for_all_workers(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    write(tmp_path, "one")
    port = free_port()
    with running(tmp_path, "shop:app", "--workers", "2", "--metrics-port", str(port)) as server:
        assert server.output().count("Metrics at") == 1
        count, seen = 0, set[int]()
        while len(seen) < 2 or count < 40:
            seen |= ask_all(server, 10)
            count += 10
        found = metrics(port)
        assert requests(port) == count
        for worker in ("1", "2"):
            assert found[f'freelane_in_flight{{worker="{worker}"}}'] == 0
            assert found[f'freelane_resident_bytes{{worker="{worker}"}}'] > 1_000_000
        spent = sum(value for name, value in found.items() if name.startswith("freelane_request_duration_seconds_count"))
        assert spent == count
        # Of one that is killed stays what it had counted when it was asked.
        victim = min(seen)
        os.kill(victim, signal.SIGKILL)
        until(lambda: "a new one starts" in server.output())
        assert requests(port) == count
        # Of one that ends stays all.
        seen.clear()
        while len(seen) < 2:
            seen |= ask_all(server, 1)
            count += 1
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.output().count("has taken over") == 2)
        count += len([ask(server) for _ in range(10)])
        until(lambda: "DOWN one" in server.output())
        assert requests(port) == count
        assert server.stop() == 0


def test_a_hand_over_goes_on_counting(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    write(tmp_path, "one")
    port = free_port()
    with running(tmp_path, "shop:app", "--metrics-port", str(port)) as server:
        ask_all(server, 5)
        assert requests(port) == 5
        for number, version in enumerate(("two", "three"), 1):
            write(tmp_path, version)
            server.process.send_signal(signal.SIGHUP)
            until(lambda: "has taken over" in server.output() if version == "two" else server.output().count("taken over") > 1)
            ask_all(server, 5)
            until(lambda: requests(port) == 5 + 5 * number)
            until(lambda: server.output().count("DOWN") == number)
            until(lambda: requests(port) == 5 + 5 * number)
        assert server.stop() == 0


def test_who_is_left_alone_has_the_page(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    write(tmp_path, "one")
    port = free_port()
    with running(tmp_path, "shop:app", "--metrics-port", str(port)) as server:
        write(tmp_path, "two", GATE)
        server.process.send_signal(signal.SIGHUP)
        pid = int(until(lambda: (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""))
        server.process.kill()
        server.process.wait()
        try:
            (tmp_path / "go").touch()
            assert ask(server) == ("two", pid)
            until(lambda: server.output().count("Metrics at") == 2)
            assert requests(port) == 1
        finally:
            os.kill(pid, signal.SIGTERM)
            until(lambda: not alive(pid))


def test_reloads_are_one_server(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    write(tmp_path, "one")
    port = free_port()
    with running(tmp_path, "shop:app", "--reload", "--reload-delay", "0.1", "--metrics-port", str(port)) as server:
        until(lambda: ask(server)[0] == "one")
        before = requests(port)
        write(tmp_path, "two")
        until(lambda: ask(server)[0] == "two")
        assert requests(port) > before
        assert server.stop() == 0


def test_sums() -> None:
    def of(count: int, busy: int, lag: float) -> list[Family]:
        return parse(Measures(lambda: [
            Family("counter", "c", "", ["a"], [(["x"], count)]),
            Family("histogram", "h", "", [], [([], [0.5, count, 0])]),
            Family("gauge", "g", "", [], [([], busy)]), Family("peak", "p", "", [], [([], lag)]),
        ]).text().encode())  # fmt: skip

    ledger = Ledger()
    ledger.take("old", 0, of(3, 1, 0.5))
    ledger.take("new", 0, of(4, 2, 0.25))
    ledger.take("other", 1, of(5, 7, 0.1))
    found = {family.name: family for family in ledger.families()}
    assert found["c"].rows == [(["x"], 12)] and found["h"].rows == [([], [1.5, 12, 0])]
    assert found["g"].labels == ["worker"] and found["g"].rows == [(["1"], 3), (["2"], 7)]
    assert found["p"].rows == [(["1"], 0.5), (["2"], 0.1)]
    ledger.end("old")
    ledger.end("other")
    ledger.take("new", 0, of(5, 2, 0.25))
    further = Ledger(ledger.kept())
    further.take("new", 0, of(5, 2, 0.25))
    for one in (ledger, further):
        found = {family.name: family for family in one.families()}
        assert found["c"].rows == [(["x"], 13)] and found["g"].rows == [(["1"], 2)]


@pytest.fixture
def shown() -> Iterator[tuple[Any, dict[str, Any]]]:
    """A page on a thread, whose sources and refresh a case may break."""
    pytest.importorskip("prometheus_client")
    broken: dict[str, Any] = {"refresh": None, "source": None}

    def raised(name: str) -> None:
        if broken[name] is not None:
            raise broken[name]

    def well() -> list[Family]:
        return [Family("counter", "well", "", [], [([], 1)])]

    def ill() -> list[Family]:
        raised("source")
        return [Family("counter", "ill", "", [], [([], 1)])]

    measures, ledger = Measures(ill, well), Ledger()

    def refresh() -> None:
        ledger.take("this", 0, measures.read())
        raised("refresh")

    found = page.Page(page.listen("127.0.0.1", 0), ledger, refresh)
    found.serve()
    yield found, broken
    found.close()


def read(found: page.Page) -> str:
    with urllib.request.urlopen(found.address, timeout=120) as answer:
        text: str = answer.read().decode()
    return text


def test_a_page_survives_what_fails(shown: tuple[page.Page, dict[str, Any]], caplog: pytest.LogCaptureFixture) -> None:
    found, broken = shown
    assert "ill_total 1.0" in read(found)
    broken["source"] = ZeroDivisionError("no such count")
    for number in (1, 2):
        text = read(found)
        assert "well_total 1.0" in text and "ill_total" not in text
        assert f'ill"}} {number}.0' in text
    broken["source"], broken["refresh"] = None, OSError("gone")
    assert "ill_total 1.0" in read(found) and "well_total 1.0" in read(found)
    assert caplog.text.count("no such count") == 1


def test_a_page_survives_its_clients(shown: tuple[page.Page, dict[str, Any]]) -> None:
    found, _ = shown
    address = found.sock.getsockname()
    with socket.create_connection(address) as silent, socket.create_connection(address) as torn:
        torn.sendall(b"GET /metrics HTTP/1.1\r\nx")
        torn.shutdown(socket.SHUT_WR)
        with socket.create_connection(address) as nonsense:
            nonsense.sendall(b"\x00\xff\r\n\r\n")
            assert "well_total 1.0" in read(found)
        assert silent.fileno() >= 0
