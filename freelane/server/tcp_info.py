"""Reach the socket of one client, which Granian does not hand out.

Clients are named by the address at the other end of the socket, which no header can change.

Two things need it. Granian queues streamed chunks without bound, so a sender must wait for
a slow client; and it can only end a chunked response cleanly, so a response that failed
half-way must break its connection or the client takes it for whole.

The socket is found among this process's own descriptors by its peer's address. That works
for TCP on Linux; elsewhere, and on Unix sockets (whose peers have no name), streams are not
paced and a cut response ends cleanly.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Callable

# How much of what was written the kernel may still hold before the sender goes on (bytes).
LOW_WATER = 64 * 1024
SIOCOUTQ = 0x5411
# How long Granian's thread gets to hand the kernel what it holds (seconds).
SETTLE = 0.02


class Connections:
    """Paces and cuts the connections of one process."""

    def __init__(self, port: int | None) -> None:
        self.port = port
        self.supported = sys.platform == "linux" and port is not None

    def find(self, client: tuple[str, int] | None) -> int | None:
        """A duplicate of the descriptor connected to ``client``, or None. The caller closes it."""
        if not self.supported or client is None:
            return None
        for name in os.listdir("/proc/self/fd"):
            fd = int(name)
            try:
                if not os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                    continue
                copy = os.dup(fd)
            except OSError:
                continue
            if self.connects(copy, client):
                return copy
            os.close(copy)
        return None

    def connects(self, fd: int, client: tuple[str, int]) -> bool:
        # A socket object on a copy of the descriptor would close it: detach in every case.
        probe = socket.socket(fileno=fd)
        try:
            peer = probe.getpeername()
            local = probe.getsockname()
        except OSError:
            return False
        finally:
            probe.detach()
        if not isinstance(peer, tuple) or peer[1] != client[1] or local[1] != self.port:
            return False
        host: str = peer[0]
        return host.removeprefix("::ffff:") == client[0].removeprefix("::ffff:")

    def left(self, client: tuple[str, int] | None) -> bool:
        """Whether ``client`` sends nothing more, as far as can be told."""
        fd = self.find(client)
        if fd is None:
            return True
        try:
            probe = socket.socket(fileno=fd)
            try:
                return not probe.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except OSError:
                return True
            finally:
                probe.detach()
        finally:
            os.close(fd)

    async def drain(self, client: tuple[str, int] | None) -> None:
        """Wait until the kernel holds little of what was sent to ``client``, or it is gone."""
        # Granian's own thread needs a moment to hand its queue to the kernel.
        await asyncio.sleep(0)
        fd = self.find(client)
        if fd is None:
            return
        try:
            delay = 0.001
            while queued(fd) > LOW_WATER and connected(fd):
                await asyncio.sleep(delay)
                delay = min(delay * 2, 0.05)
        finally:
            os.close(fd)

    async def cut(self, client: tuple[str, int] | None, release: Callable[[], None]) -> None:
        """Shut the connection to ``client`` down, then call ``release``."""
        fd = self.find(client)
        try:
            if fd is not None:
                # What was sent before is still on its way, through Granian's thread and the kernel.
                await asyncio.sleep(SETTLE)
                while queued(fd) and connected(fd):
                    await asyncio.sleep(SETTLE)
                probe = socket.socket(fileno=fd)
                try:
                    probe.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                finally:
                    probe.detach()
        finally:
            if fd is not None:
                os.close(fd)
            release()


def queued(fd: int) -> int:
    """Bytes that the kernel holds for the peer (tcp(7), SIOCOUTQ)."""
    import fcntl

    count: int = struct.unpack("i", fcntl.ioctl(fd, SIOCOUTQ, b"\0\0\0\0"))[0]
    return count


def connected(fd: int) -> bool:
    probe = socket.socket(fileno=fd)
    try:
        probe.getpeername()
    except OSError:
        return False
    finally:
        probe.detach()
    return True
