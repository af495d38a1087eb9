"""What a server becomes after its first hand-over: holds its sockets and its pid, and watches who serves."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

from freelane.server.handover import spawns
from freelane.server.processes import Process, Processes
from freelane.server.sockets import Listener


def main() -> int:
    state = json.loads(sys.argv[1])
    made = {fd: socket.socket(fileno=fd) for fd in set(state["fds"])}
    listener = Listener(tuple(made[fd] for fd in state["fds"]), state["address"], state["port"], state["uds"])
    for sock in made.values():
        sock.set_inheritable(False)
    start = spawns(listener, state["command"], dict(os.environ), os.getcwd())
    processes = Processes(1, start, state["patience"])
    (place,) = processes.places
    place.served, processes.line = True, ""
    if state["child"] is not None:
        pid, fd, served = state["child"]
        place.due = None
        place.current = Process(pid, socket.socket(fileno=fd), time.monotonic(), served)
        place.current.sock.set_inheritable(False)
        if state["again"]:
            processes.renewing.append(place)
    try:
        return processes.run()
    finally:
        if listener.uds is not None:
            Path(listener.uds).unlink(missing_ok=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
