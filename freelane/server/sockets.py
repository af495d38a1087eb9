"""Bind the listening sockets, before any worker starts."""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from freelane.errors import ConfigError

BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Listener:
    """Bound sockets, one per worker, not yet listening; ``address`` is for people."""

    sockets: tuple[socket.socket, ...]
    address: str
    port: int | None
    uds: str | None = None

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        if self.uds is not None:
            Path(self.uds).unlink(missing_ok=True)


def bind(host: str, port: int, uds: str | None, count: int, tls: bool) -> Listener:
    """Raises ConfigError if the address is taken or cannot be used."""
    if uds is not None:
        return bind_unix(uds, count)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as exc:
        raise ConfigError(f"--host '{host}' cannot be resolved: {exc.strerror or exc}") from None
    try:
        # Without SO_REUSEPORT this one fails if anybody listens, an earlier run of ours included.
        with tcp_socket(family) as probe:
            probe.bind(address)
            probe.listen(1)
            port = probe.getsockname()[1]
        sockets = []
        for _ in range(count):
            sock = tcp_socket(family)
            if count > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.bind((address[0], port, *address[2:]))
            sockets.append(sock)
    except OSError as exc:
        raise ConfigError(explain(exc, host, port)) from None
    shown = f"[{host}]" if ":" in host else host
    return Listener(tuple(sockets), f"{'https' if tls else 'http'}://{shown}:{port}", port)


def tcp_socket(family: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it: Granian sends no pings, and the kernel finds out as well that a peer is
    # gone, as soon as uvicorn's pings would (20 s of silence, 20 s for an answer).
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 2)):
        if (number := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, number, value)
    return sock


def explain(exc: OSError, host: str, port: int) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there or choose another --port"
    if exc.errno == errno.EACCES:
        return f"port {port} needs privileges: choose one above 1023 with --port"
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"--host '{host}' is no address of this machine"
    return f"cannot listen on {host}:{port}: {exc.strerror}"


def bind_unix(path: str, count: int) -> Listener:
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(path) == 0:
                    raise ConfigError(f"somebody listens on '{path}': choose another --uds")
            os.unlink(path)  # left by a server that was killed
        else:
            raise ConfigError(f"--uds '{path}' exists and is no socket")
    except FileNotFoundError:
        pass
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
    except OSError as exc:
        sock.close()
        raise ConfigError(f"cannot listen on '{path}': {exc.strerror}") from None
    return Listener((sock,) * count, f"unix:{path}", None, path)
