from collections.abc import Callable
from typing import Any, Self

from typing_extensions import disjoint_base

UNSET: Any

@disjoint_base
class Member:
    name: str
    key: str
    head: bytes | None
    shape: Shape
    default: Any
    factory: Callable[[], Any] | None
    def __new__(
        cls, name: str, key: str, head: bytes | None, shape: Shape, default: Any = ..., factory: Callable[[], Any] | None = None
    ) -> Self: ...

@disjoint_base
class Shape:
    inner: Shape | None
    cls: type | None
    members: tuple[Member, ...] | None
    closed: bool
    skips_none: bool
    skips_unset: bool
    check: Callable[[Any], Any] | None
    write: Callable[[Any], bytes] | None
    @staticmethod
    def leaf(kind: str, write: Callable[[Any], bytes] | None = None) -> Shape: ...
    @staticmethod
    def other(check: Callable[[Any], Any], write: Callable[[Any], bytes]) -> Shape: ...
    @staticmethod
    def around(kind: str, inner: Shape) -> Shape: ...
    @staticmethod
    def model(
        cls: type, members: tuple[Member, ...], *, closed: bool = False, skips_none: bool = False, skips_unset: bool = False
    ) -> Shape: ...
    def text(self, value: Any) -> bytes | None: ...
