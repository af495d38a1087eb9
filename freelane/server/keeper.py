"""What a server becomes after its first hand-over: holds its sockets and its pid, and watches who serves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

from freelane.server import page
from freelane.server.handover import spawns
from freelane.server.ledger import Family, Ledger
from freelane.server.processes import Process, Processes
from freelane.server.sockets import Listener

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    with open(int(sys.argv[1]), "rb") as file:
        file.seek(0)
        state = json.load(file)
    made = {fd: socket.socket(fileno=fd) for fd in set(state["fds"])}
    listener = Listener(tuple(made[fd] for fd in state["fds"]), state["address"], state["port"], state["uds"])
    for sock in made.values():
        sock.set_inheritable(False)
    start = spawns(listener, state["command"], dict(os.environ), os.getcwd())
    processes = Processes(1, start, state["patience"])
    (place,) = processes.places
    place.served, processes.line = True, ""
    processes.ledger = Ledger(Family(*family) for family in state["counted"])
    if state["page"] is not None:
        sock = socket.socket(fileno=state["page"])
        sock.set_inheritable(False)
        processes.page = page.Page(sock, processes.ledger, processes.refresh)
    if state["child"] is not None:
        pid, fd, served = state["child"]
        place.due = None
        place.current = Process(pid, socket.socket(fileno=fd), time.monotonic(), served)
        place.current.sock.set_inheritable(False)
        if state["again"]:
            processes.renewing.append(place)
    if state["ended"]:
        processes.asked.append(signal.SIGTERM)
    os.set_blocking(state["signals"], False)
    with contextlib.suppress(BlockingIOError), open(state["signals"], "rb", buffering=0) as file:
        processes.asked += [number for number in file.read(4096) or b"" if number in HANDLED]
    try:
        return processes.run()
    finally:
        if listener.uds is not None:
            Path(listener.uds).unlink(missing_ok=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
