"""A client on a plain socket: it sends what it is given and keeps every byte of what comes back."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

from .frames import Frame, encode, read_frame

HOST = "127.0.0.1"
TIMEOUT_SECONDS = 3.0


class Ended(Exception):
    """The server closed or reset the connection before the wanted bytes came."""


@dataclass
class Answer:
    """One HTTP response as it came; ``whole`` is False where its framing was cut off."""

    status_line: str
    headers: list[tuple[str, bytes]]  # names in lower case, values untouched
    body: bytes
    whole: bool

    def values(self, name: str) -> list[bytes]:
        return [value for key, value in self.headers if key == name]


@dataclass
class Fact:
    """Anything else that was seen: how a connection ended, what the app noted."""

    name: str
    value: str


Observation = Answer | Frame | Fact


class Reader:
    """Bytes from a socket with a bounded wait, by count or up to a separator."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""

    def _more(self) -> None:
        try:
            data = self.sock.recv(262_144)
        except ConnectionError as error:
            raise Ended from error
        if not data:
            raise Ended
        self.buffer += data

    def until(self, separator: bytes) -> bytes:
        while separator not in self.buffer:
            self._more()
        found, _, self.buffer = self.buffer.partition(separator)
        return found

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._more()
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def rest(self) -> bytes:
        with contextlib.suppress(Ended):
            while True:
                self._more()
        found, self.buffer = self.buffer, b""
        return found


@dataclass
class Connection:
    sock: socket.socket
    trace: list[Observation]
    patience: float = 1.0  # what every wait is multiplied by
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = Reader(self.sock)

    def send(self, data: bytes) -> None:
        # A server may refuse early and close; what it said before that is still to be read.
        with contextlib.suppress(ConnectionError):
            self.sock.sendall(data)

    def answer(self, *, head: bool = False) -> Answer | None:
        """Reads one response, an interim one included, into the trace."""
        try:
            read = self._read_answer(head)
        except Ended:
            self.trace.append(Fact("answer", "none: connection closed"))
            return None
        except TimeoutError:
            self.trace.append(Fact("answer", "none: timed out"))
            return None
        self.trace.append(read)
        return read

    def _read_answer(self, head: bool) -> Answer:
        lines = self.reader.until(b"\r\n\r\n").split(b"\r\n")
        headers = []
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            headers.append((name.decode("latin-1").lower(), value.strip(b" \t")))
        read = Answer(lines[0].decode("latin-1"), headers, b"", True)
        code = lines[0].split(b" ")[1]
        if head or code[:1] == b"1" or code in (b"204", b"304"):
            return read
        if read.values("transfer-encoding") == [b"chunked"]:
            read.body, read.whole = self._chunks()
        elif read.values("content-length"):
            length = int(read.values("content-length")[0])
            try:
                read.body = self.reader.exactly(length)
            except Ended:
                read.body, self.reader.buffer, read.whole = self.reader.buffer, b"", False
        else:
            read.body = self.reader.rest()
        return read

    def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        try:
            while size := int(self.reader.until(b"\r\n").split(b";")[0], 16):
                body += self.reader.exactly(size)
                self.reader.exactly(2)
            self.reader.until(b"\r\n")
        except Ended:
            return body, False
        return body, True

    def end(self, wait: float = 1.0) -> None:
        """Records whether the server closes the connection within ``wait`` seconds."""
        self.sock.settimeout(wait * self.patience)
        try:
            left = self.reader.rest()
            self.trace.append(Fact("end", "closed" if not left else f"closed after {left!r}"))
        except TimeoutError:
            self.trace.append(Fact("end", "kept open"))
        finally:
            self.sock.settimeout(TIMEOUT_SECONDS * self.patience)

    def send_frame(self, opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True) -> None:
        self.send(encode(opcode, payload, final=final, masked=masked))

    def frame(self) -> Frame | None:
        """Reads one WebSocket frame into the trace, or how the connection ended instead."""
        try:
            frame = read_frame(self.reader.exactly)
        except Ended:
            self.trace.append(Fact("frame", "none: connection closed"))
            return None
        except TimeoutError:
            self.trace.append(Fact("frame", "none: timed out"))
            return None
        self.trace.append(frame)
        return frame

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()


@dataclass
class Session:
    """One replay of one case: its connections, its trace, and the token its journal is kept under."""

    port: int
    journal: Path
    token: str
    patience: float = 1.0
    trace: list[Observation] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)

    def open(self) -> Connection:
        sock = socket.create_connection((HOST, self.port), timeout=TIMEOUT_SECONDS * self.patience)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made = Connection(sock, self.trace, self.patience)
        self.connections.append(made)
        return made

    def ask(self, request: bytes, *, head: bool = False) -> Answer | None:
        """One request on a connection of its own."""
        connection = self.open()
        connection.send(request)
        answer = connection.answer(head=head)
        connection.close()
        return answer

    def noted(self, lines: int, wait: float = 3.0) -> None:
        """Records what the app noted, once there are ``lines`` of it or ``wait`` seconds have passed."""
        path = self.journal / self.token
        deadline = time.monotonic() + wait * self.patience
        seen: list[str] = []
        while time.monotonic() < deadline:
            seen = path.read_text().splitlines() if path.exists() else []
            if len(seen) >= lines:
                break
            time.sleep(0.01)
        self.trace.append(Fact("noted", " | ".join(seen)))

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
