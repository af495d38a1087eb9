"""The gil lane's counters."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest

from compat_tests.gil_servers import ask, lane_server
from compat_tests.servers import Server

pytestmark = pytest.mark.thread_unsafe(reason="starts servers")


def page(server: Server) -> dict[str, float]:
    address = re.search(r"Metrics at (\S+)\.", server.output())
    assert address is not None
    with urllib.request.urlopen(address[1], timeout=120) as response:
        lines = response.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_the_page_counts_what_happened(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path, "--metrics-port", "0") as server:
        for _ in range(5):
            ask(server, "/answer")
        ask(server, "/sleep?s=0.2")
        ask(server, "/abort")
        ask(server, "/answer")
        found = page(server)
        assert found['freelane_gil_requests_total{lane="gil-1"}'] == 8
        assert found['freelane_gil_restarts_total{lane="gil-1"}'] == 1
        assert found['freelane_gil_in_flight{lane="gil-1",worker="1"}'] == 0
        assert found['freelane_gil_queue_depth{worker="1"}'] == 0
        assert found["freelane_gil_refused_total"] == 0
        assert 0.2 < found['freelane_gil_working_seconds_total{lane="gil-1"}'] < 20
        # The request after the crash waited for the new process.
        assert 0.05 < found['freelane_gil_waiting_seconds_total{lane="gil-1"}'] < 20
        assert found['freelane_gil_resident_bytes{lane="gil-1",worker="1"}'] > 5_000_000


def test_the_log_has_the_counters_at_shutdown(extension: Path, tmp_path: Path) -> None:
    with lane_server(extension, tmp_path) as server:
        for _ in range(3):
            ask(server, "/answer")
        assert server.stop() == 0
        line = r"gil-1: 3 requests, 0 restarts, [\d.]+ s waiting, [\d.]+ s working, at most [1-9]\d* MiB\."
        assert re.search(line, server.output())
