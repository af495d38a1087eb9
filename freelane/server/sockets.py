"""Bind the listening sockets, before any worker starts, or take those that this process was started with."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from freelane.errors import ConfigError, UnavailableError
from freelane.settings import Settings

# Connections that Granian serves at once in a worker; more wait in the socket.
CONNECTIONS = 1024
# The first descriptor that a service manager passes (sd_listen_fds(3)).
LISTEN_FDS_START = 3


@dataclass(frozen=True, slots=True)
class Listener:
    """Bound sockets, one per worker, not yet listening; ``address`` is for people."""

    sockets: tuple[socket.socket, ...]
    address: str
    port: int | None
    uds: str | None = None

    def release(self, worker: int, loops: int) -> None:
        """Close the sockets of a worker that shall serve no more, unless others share them; it closes its own."""
        for number in range(worker * loops, (worker + 1) * loops):
            if number < len(self.sockets) and self.sockets.count(self.sockets[number]) == 1:
                self.sockets[number].close()

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        if self.uds is not None:
            Path(self.uds).unlink(missing_ok=True)


def bind(settings: Settings, count: int, environ: MutableMapping[str, str] = os.environ) -> Listener:
    """Raises UnavailableError if the address is taken or cannot be used."""
    fd = settings.fd
    if fd is None:
        fd = from_service_manager(environ)
    if fd is not None:
        return adopt(fd, settings, count)
    if settings.uds is not None:
        return bind_unix(settings.uds, count)
    host, port = settings.host, settings.port
    try:
        # As bytes, where that is the same: the codec for other names is not imported for it.
        name = host.encode() if host.isascii() else host
        family, _, _, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
    except OSError as exc:
        raise UnavailableError(f"--host '{host}' cannot be resolved: {exc.strerror or exc}") from None
    try:
        # Without SO_REUSEPORT this one fails if anybody listens, an earlier run of ours included.
        with tcp_socket(family, settings) as probe:
            probe.bind(address)
            probe.listen(1)
            port = probe.getsockname()[1]
        sockets = []
        for _ in range(count):
            sock = tcp_socket(family, settings)
            if count > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.bind((address[0], port, *address[2:]))
            sockets.append(sock)
    except OSError as exc:
        raise UnavailableError(explain(exc, host, port)) from None
    return Listener(tuple(sockets), spell(host, port, settings), port)


def spell(host: str, port: int, settings: Settings) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls else 'http'}://{shown}:{port}"


def tcp_socket(family: int, settings: Settings) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keep_alive(sock, settings)
    return sock


def keep_alive(sock: socket.socket, settings: Settings) -> None:
    """Let the kernel find out that a peer is gone as soon as uvicorn's pings would: Granian sends none."""
    # Connections inherit it.
    interval, timeout = settings.ws_ping_interval, settings.ws_ping_timeout
    if not interval:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    values = {"TCP_KEEPIDLE": interval, "TCP_KEEPINTVL": timeout / 2, "TCP_KEEPCNT": 2}
    for name, value in values.items():
        if (number := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, number, max(1, min(32767, round(value))))


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
                    raise UnavailableError(f"somebody listens on '{path}': choose another --uds")
            os.unlink(path)  # left by a server that was killed
        else:
            raise UnavailableError(f"--uds '{path}' exists and is no socket")
    except FileNotFoundError:
        pass
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        os.chmod(path, 0o666)  # as uvicorn: a proxy has another user
    except OSError as exc:
        sock.close()
        raise UnavailableError(f"cannot listen on '{path}': {exc.strerror}") from None
    return Listener((sock,) * count, f"unix:{path}", None, path)


def from_service_manager(environ: MutableMapping[str, str]) -> int | None:
    """The socket that systemd passes (sd_listen_fds(3)), or None. What is started from here is not told again."""
    pid, count = environ.pop("LISTEN_PID", None), environ.pop("LISTEN_FDS", None)
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count or not count.isdecimal() or int(count) == 0:
        return None
    if int(count) > 1:
        raise ConfigError(f"LISTEN_FDS passes {count} sockets and one is served: give the unit one ListenStream")
    return LISTEN_FDS_START


def adopt(fd: int, settings: Settings, count: int) -> Listener:
    """Serve on a socket that is open already; its workers share it. Raises UnavailableError."""
    try:
        sock = socket.socket(fileno=os.dup(fd))
        name = sock.getsockname()
    except OSError as exc:
        raise UnavailableError(f"--fd {fd} is no socket: {exc.strerror}") from None
    os.set_inheritable(fd, False)
    if sock.family == socket.AF_UNIX:
        return Listener((sock,) * count, f"unix:{name if isinstance(name, str) else ''}", None)
    keep_alive(sock, settings)
    return Listener((sock,) * count, spell(name[0], name[1], settings), name[1])
