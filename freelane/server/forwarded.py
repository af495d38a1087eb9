"""Client address and scheme behind a trusted proxy, from X-Forwarded-For and -Proto.

The rules are uvicorn's, since an unchanged app was deployed with them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Client = tuple[str, int] | None


class ForwardedHeaders:
    """``(headers, client, scheme, websocket) -> (client, scheme)``.

    ``trusted`` is a comma-separated list of addresses, networks and literals, or ``*``.
    """

    def __init__(self, trusted: str, uds: str | None = None) -> None:
        self.everyone = trusted.strip() == "*"
        # The peers of a Unix socket have no address: they are trusted by its path, or by `*`.
        self.unnamed = uds is not None and uds in [part.strip() for part in trusted.split(",")]
        self.literals: set[str] = set()
        self.addresses: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
        self.networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for item in (part.strip() for part in trusted.split(",")):
            try:
                if "/" in item:
                    self.networks.append(ipaddress.ip_network(item))
                else:
                    self.addresses.add(ipaddress.ip_address(item))
            except ValueError:
                self.literals.add(item)

    def trusts(self, host: str | None) -> bool:
        if self.everyone:
            return True
        if not host:
            return self.unnamed
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host in self.literals
        return address in self.addresses or any(address in network for network in self.networks)

    def __call__(
        self, headers: Iterable[tuple[bytes, bytes]], client: Client, scheme: str, websocket: bool
    ) -> tuple[Client, str]:
        proto: bytes | None = None
        hops: list[bytes] = []
        for name, value in headers:
            if name == b"x-forwarded-proto":
                proto = value
            elif name == b"x-forwarded-for":
                hops.append(value)
        if (proto is None and not hops) or not self.trusts(client[0] if client else None):
            return client, scheme
        if proto is not None:
            text = proto.decode("latin-1").strip()
            if text in {"http", "https", "ws", "wss"}:
                scheme = text.replace("http", "ws") if websocket else text
        if hops:
            host, port = self.origin(b", ".join(hops).decode("latin-1"))
            if host:
                client = (host, port)
        return client, scheme

    def origin(self, forwarded_for: str) -> tuple[str, int]:
        """The last hop that is no trusted proxy; each proxy appends the one it saw."""
        hops = [item.strip() for item in forwarded_for.split(",")]
        if self.everyone:
            return split_port(hops[0])
        for hop in reversed(hops):
            host, port = split_port(hop)
            if not self.trusts(host):
                return host, port
        return split_port(hops[0])


def split_port(value: str) -> tuple[str, int]:
    """``host``, ``host:port`` or ``[v6]:port`` -> ``(host, port)``; port 0 where there is none."""
    if value.startswith("["):
        host, bracket, rest = value[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return value, 0
        return host, int(rest[1:]) if rest[1:].isdecimal() else 0
    if value.count(":") == 1:
        host, _, port = value.partition(":")
        return (host, int(port)) if port.isdecimal() else (value, 0)
    return value, 0
