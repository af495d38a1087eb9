"""Tell people and systemd (sd_notify(3)) how the server is."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time


def notify(state: str) -> None:
    """Send ``state`` where NOTIFY_SOCKET says; nothing where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    if state.startswith("RELOADING"):
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)


def announce(line: str) -> None:
    """Print the start line, and say that all is ready."""
    print(line, file=sys.stderr, flush=True)
    notify("READY=1")
