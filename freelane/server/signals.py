"""SIGINT, SIGTERM and SIGHUP, under the names by which libraries know uvicorn's server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Collection
from typing import Any

from freelane.server import shutdown
from freelane.server.processes import has_terminal

HANDLED = (signal.SIGINT, signal.SIGTERM)

# What an app that is starting gets to end when a signal asks for it (seconds).
GRACE = 2.0
# When a signal whose handler has not run is sent once more (seconds).
AGAIN = 0.2


class Interrupted(SystemExit):
    """A signal asked for the end while the app was starting; raised wherever the main thread was."""


class Exit:
    """What a server's signal handler is bound to; ``stop()`` is called once it shall end.

    Libraries find a server by ``signal.getsignal(SIGTERM).__self__``, read ``should_exit`` and may
    set it; others replace ``uvicorn.Server.handle_exit``, which is called then.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.stop = stop
        # Until the app serves, a signal ends what runs at once; the main thread's.
        self.starting = True
        self.exiting = False
        self.force_exit = False
        # The signals that came, under uvicorn's name.
        self._captured_signals: list[int] = []
        self.original: dict[int, Any] = {}

    @property
    def should_exit(self) -> bool:
        return self.exiting

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value and not self.exiting:
            self.exiting = True
            self.stop()

    @property
    def interrupted(self) -> bool:
        """Whether a person stopped the server at its terminal."""
        return signal.SIGINT in self._captured_signals

    def install(self, renew: Callable[[], None]) -> None:
        """Handle signals from now on; only the main thread can. SIGHUP calls ``renew()``, unless its terminal was hung up."""
        if threading.current_thread() is not threading.main_thread():
            return
        self.original = {number: signal.signal(number, self.handle_exit) for number in HANDLED}
        hang_up = getattr(signal, "SIGHUP", None)
        if hang_up is None or signal.getsignal(hang_up) == signal.SIG_IGN:  # nohup
            return
        terminal = has_terminal()

        def handle(number: int, frame: Any) -> None:
            if self.starting or terminal and not has_terminal():
                self.handle_exit(number, frame)
            elif not self.exiting:
                renew()

        self.original[hang_up] = signal.signal(hang_up, handle)

    def restore(self) -> None:
        """Leave signals to whom they belonged before."""
        for number, handler in self.original.items():
            signal.signal(number, handler)

    def handle_exit(self, number: int, frame: Any) -> None:
        """Stop; a second SIGINT ends the process at once."""
        if self.exiting and number == signal.SIGINT:
            os._exit(128 + number)
        self._captured_signals.append(number)
        if (replaced := replaced_handler()) is not None:
            replaced(self, number, frame)
        self.should_exit = True
        if self.starting:
            # An app that catches this, or waits in a place where it is not raised, is not waited for.
            given_up = threading.Timer(GRACE, shutdown.leave, (128 + number,))
            given_up.daemon = True
            given_up.start()
            raise Interrupted

    def check(self) -> None:
        """Raises Interrupted if the server shall end."""
        if self.exiting:
            raise Interrupted


def replaced_handler() -> Callable[..., Any] | None:
    """What somebody has put in the place of ``uvicorn.Server.handle_exit``; None where nobody has."""
    uvicorn = sys.modules.get("uvicorn.server")
    handler = getattr(getattr(uvicorn, "Server", None), "handle_exit", None)
    if handler is None or getattr(getattr(handler, "__code__", None), "co_filename", None) == uvicorn.__file__:  # type: ignore[union-attr]
        return None
    return handler  # type: ignore[no-any-return]


def assure(numbers: Collection[int]) -> None:
    """See to it that the handlers which ``numbers`` have now are run, whatever lock the main thread waits for; called there.

    Free-threaded CPython spins before it sleeps for a lock (Python/lock.c, MAX_SPIN_COUNT). A signal
    that comes while it spins interrupts nothing, and its handler would wait for the next one.
    """
    run = threading.Event()

    def assured(handler: Callable[[int, Any], object]) -> Callable[[int, Any], None]:
        def handle(number: int, frame: Any) -> None:
            run.set()
            handler(number, frame)

        return handle

    received, woken = socket.socketpair()
    woken.setblocking(False)
    for number in numbers:
        if callable(handler := signal.getsignal(number)):
            signal.signal(number, assured(handler))
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        with received, woken, contextlib.suppress(OSError):
            while came := received.recv(1):
                while came[0] in numbers and not run.wait(AGAIN):
                    signal.pthread_kill(threading.main_thread().ident or 0, came[0])
                run.clear()
                with contextlib.suppress(BlockingIOError):  # what was sent again
                    received.recv(64, socket.MSG_DONTWAIT)

    threading.Thread(target=watch, name="freelane-signals", daemon=True).start()
