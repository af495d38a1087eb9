"""SharedState for the other processes of one server: kept by the main process, reached over a Unix socket.

``multiprocessing.connection`` authenticates both ends with a key that only child processes
are told, and frames the messages. A message is a line of JSON, then the bytes of a value, if
there is one; nothing is pickled.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import secrets
import shutil
import sys
import tempfile
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from freelane.adapters.pyre.state_memory import Backend

logger = logging.getLogger("freelane.error")

# How long it waits after what it cannot help, such as too many open files (seconds).
PAUSE = 0.1
CALLS = ("set", "get", "delete", "keys", "size", "contains", "incr")
ERRORS = {"TypeError": TypeError, "OverflowError": OverflowError}


def packed(*values: Any) -> bytes:
    """``values`` as a message; the last may be bytes."""
    data = values[-1] if isinstance(values[-1], bytes) else None
    head = json.dumps([values if data is None else values[:-1], data is not None])
    return head.encode() + b"\n" + (data or b"")


def unpacked(message: bytes) -> tuple[list[Any], bytes | None]:
    """The plain values of a message, and its bytes."""
    head, _, data = message.partition(b"\n")
    values, has_data = json.loads(head)
    return values, data if has_data else None


class StateServer:
    """Serves ``backend`` to processes that are given ``url``, until ``close``."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.key = secrets.token_bytes(32)
        # An abstract name (unix(7)) goes with its socket, however the process ends; elsewhere than on Linux a file.
        self.directory = None if sys.platform == "linux" else tempfile.mkdtemp(prefix="freelane-state-")
        name = secrets.token_hex(8)
        path = f"\0freelane-state-{name}" if self.directory is None else os.path.join(self.directory, name)
        self.listener = Listener(path, "AF_UNIX", backlog=64, authkey=self.key)
        self.url = f"freelane://{path}?{self.key.hex()}"
        atexit.register(self.close)
        self.closed = False
        threading.Thread(target=self.accept, name="freelane-state", daemon=True).start()

    def accept(self) -> None:
        while not self.closed:
            connection = None
            try:
                connection = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), name="freelane-state", daemon=True).start()
            except (AuthenticationError, EOFError, ConnectionError):
                continue  # a peer without the key, or one that left
            except Exception as exc:
                if connection is not None:
                    connection.close()
                if not self.closed:
                    logger.error("SharedState cannot be reached by another process: %s.", exc)
                    time.sleep(PAUSE)

    def serve(self, connection: Connection[Any, Any]) -> None:
        with connection:
            while True:
                try:
                    (name, *args), value = unpacked(connection.recv_bytes())
                except (EOFError, OSError, ValueError):
                    return  # it left, or is none of ours
                if value is not None:
                    args.append(value)
                try:
                    if name not in CALLS:
                        raise TypeError(f"no call '{name}'")
                    answer: tuple[str, Any] = "", getattr(self.backend, name)(*args)
                except Exception as exc:
                    answer = type(exc).__name__, str(exc)
                try:
                    connection.send_bytes(packed(*answer))
                except OSError:
                    return

    def close(self) -> None:
        self.closed = True
        self.listener.close()
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.close)


class Remote:
    """The backend of a process that was given a StateServer's URL; one connection a thread."""

    def __init__(self, url: str) -> None:
        path, _, key = url.removeprefix("freelane://").partition("?")
        self.path, self.key = path, bytes.fromhex(key)
        self.local = threading.local()

    def call(self, name: str, *args: Any) -> Any:
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = self.local.connection = Client(self.path, "AF_UNIX", authkey=self.key)
        try:
            connection.send_bytes(packed(name, *args))
            (error, *rest), value = unpacked(connection.recv_bytes())
        except (EOFError, OSError):
            self.local.connection = None  # the next call tries again
            raise
        if error:
            raise ERRORS.get(error, RuntimeError)(*rest)
        return rest[0] if value is None else value

    def set(self, key: str, value: bytes) -> None:
        self.call("set", key, value)

    def get(self, key: str) -> bytes | None:
        return self.call("get", key)  # type: ignore[no-any-return]

    def delete(self, key: str) -> bool:
        return self.call("delete", key)  # type: ignore[no-any-return]

    def keys(self) -> list[str]:
        return self.call("keys")  # type: ignore[no-any-return]

    def size(self) -> int:
        return self.call("size")  # type: ignore[no-any-return]

    def contains(self, key: str) -> bool:
        return self.call("contains", key)  # type: ignore[no-any-return]

    def incr(self, key: str, amount: int) -> int:
        return self.call("incr", key, amount)  # type: ignore[no-any-return]
