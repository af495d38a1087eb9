"""The line between a process that serves and the one that watches it: a socket pair, one word a line.

Up go ``ready LINE`` (it serves) and ``renew`` (it wants a successor); down go ``retire`` (a successor
serves: let go of the socket and end) and ``settled`` (end if the watcher does).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable


class Channel:
    """The end of the process that serves. ``listen`` starts a thread; everything may be called from any."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        # Whether somebody is at the other end; written by the listening thread.
        self.alive = True
        self.settled = False

    def say(self, words: str) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(words.encode() + b"\n")

    def ready(self, line: str) -> None:
        self.say(f"ready {line}")

    def listen(self, retire: Callable[[], None]) -> None:
        threading.Thread(target=self.hear, args=(retire,), name="freelane-channel", daemon=True).start()

    def hear(self, retire: Callable[[], None]) -> None:
        while True:
            try:
                words = self.sock.recv(4096)
            except OSError:
                words = b""
            if not words:
                break
            for word in words.split():
                if word == b"retire":
                    retire()
                elif word == b"settled":
                    self.settled = True
        self.alive = False
        if self.settled:
            os.kill(os.getpid(), signal.SIGTERM)
