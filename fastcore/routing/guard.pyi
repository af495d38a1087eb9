from collections.abc import Iterable, Sized
from typing import Any, Self

from typing_extensions import disjoint_base

from freelane.fastcore.routing.watch import Watch

@disjoint_base
class Guard:
    attributes: tuple[tuple[Any, str, Any], ...]
    sizes: tuple[tuple[Sized, int], ...]
    places: tuple[tuple[list[Any], int, Any], ...]
    absent: tuple[tuple[dict[str, Any], str], ...]
    watches: tuple[Watch, ...]
    def __new__(
        cls,
        attributes: Iterable[tuple[Any, str, Any]] = (),
        sizes: Iterable[tuple[Sized, int]] = (),
        places: Iterable[tuple[list[Any], int, Any]] = (),
        absent: Iterable[tuple[dict[str, Any], str]] = (),
        watches: Iterable[Watch] = (),
    ) -> Self: ...
    def holds(self) -> bool: ...
