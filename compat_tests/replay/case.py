"""What a case is, and how its requests are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .wire import Connection, Session

Header = tuple[str, str | bytes]
Script = Callable[[Session], None]


@dataclass(frozen=True)
class Case:
    name: str
    script: Script


def request(
    method: str,
    path: str | bytes,
    headers: Iterable[Header] = (),
    body: bytes | None = None,
    *,
    version: str = "1.1",
    host: str | None = "testserver",
) -> bytes:
    """A request head and body, as given: nothing is quoted, only Host and Content-Length are added."""
    target = path if isinstance(path, bytes) else path.encode("latin-1")
    lines = [method.encode() + b" " + target + b" HTTP/" + version.encode()]
    if host is not None:
        lines.append(b"Host: " + host.encode())
    for name, value in headers:
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("latin-1")))
    if body is not None:
        lines.append(b"Content-Length: " + str(len(body)).encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def ask(
    name: str,
    method: str,
    path: str | bytes,
    headers: Iterable[Header] = (),
    body: bytes | None = None,
    *,
    version: str = "1.1",
    host: str | None = "testserver",
) -> Case:
    """A case of one request and one answer."""
    data = request(method, path, headers, body, version=version, host=host)

    def script(session: Session) -> None:
        session.ask(data, head=method == "HEAD")

    return Case(name, script)


def get(name: str, path: str | bytes, headers: Iterable[Header] = ()) -> Case:
    return ask(name, "GET", path, headers)


UPGRADE: tuple[Header, ...] = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


def websocket(session: Session, path: str, headers: Iterable[Header] = ()) -> Connection:
    """Opens a connection and sends the handshake; its answer is in the trace."""
    connection = session.open()
    connection.send(request("GET", path, [*UPGRADE, *headers]))
    connection.answer()
    return connection
