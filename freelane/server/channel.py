"""The line between a process that serves and the one that watches it: a socket pair, one word a line.

Up go ``ready LINE`` (it serves), ``renew`` (it wants a successor) and ``counts JSON``; down go ``retire`` (a
successor serves: let go of the socket and end), ``settled`` (end if the watcher does) and ``count``.
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
        # Held while a line is sent; a signal handler may come in between.
        self.lock = threading.RLock()
        # Whether somebody is at the other end; written by the listening thread.
        self.alive = True
        self.settled = False

    def say(self, words: str) -> None:
        with contextlib.suppress(OSError), self.lock:
            self.sock.sendall(words.encode() + b"\n")

    def ready(self, line: str) -> None:
        self.say(f"ready {line}")

    def listen(self, retire: Callable[[], None], counts: Callable[[], str], alone: Callable[[], None]) -> None:
        """Obey from now on. ``counts()`` is what this process has counted; ``alone()`` is called once nobody watches."""
        threading.Thread(target=self.hear, args=(retire, counts, alone), name="freelane-channel", daemon=True).start()

    def hear(self, retire: Callable[[], None], counts: Callable[[], str], alone: Callable[[], None]) -> None:
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
                elif word == b"count":
                    self.say(f"counts {counts()}")
        self.alive = False
        if self.settled:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            alone()
