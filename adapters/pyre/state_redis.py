"""SharedState in Redis or Valkey."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


class Redis:
    """Keys get a prefix, ``pyre:`` unless the URL says ``?prefix=``. The client's pool is safe between threads."""

    def __init__(self, url: str) -> None:
        try:
            import redis
        except ImportError:
            raise ImportError("SharedState in Redis needs redis: install 'freelane[pyre]'") from None
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        self.prefix = query.pop("prefix", "pyre:")
        scheme = parts.scheme.replace("valkeys", "rediss").replace("valkey", "redis")
        self.errors = redis.exceptions
        self.client: Any = redis.Redis.from_url(urlunsplit(parts._replace(scheme=scheme, query=urlencode(query))))

    def set(self, key: str, value: bytes) -> None:
        self.client.set(self.prefix + key, value)

    def get(self, key: str) -> bytes | None:
        return self.client.get(self.prefix + key)  # type: ignore[no-any-return]

    def delete(self, key: str) -> bool:
        return bool(self.client.delete(self.prefix + key))

    def keys(self) -> list[str]:
        # A pattern's special characters in the prefix stand for themselves.
        pattern = "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in self.prefix) + "*"
        return [key.decode().removeprefix(self.prefix) for key in self.client.scan_iter(pattern, count=1000)]

    def size(self) -> int:
        return len(self.keys())

    def contains(self, key: str) -> bool:
        return bool(self.client.exists(self.prefix + key))

    def incr(self, key: str, amount: int) -> int:
        try:
            return int(self.client.incrby(self.prefix + key, amount))
        except self.errors.ResponseError as exc:
            if "overflow" in str(exc):
                raise OverflowError(f"incr({key!r}): i64 overflow") from None
            raise TypeError(f"incr({key!r}): existing value is not an integer") from None
