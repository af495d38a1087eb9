from collections.abc import Iterable
from typing import Any, Self

from typing_extensions import disjoint_base

@disjoint_base
class Watch:
    marks: tuple[tuple[dict[str, Any], str, Any], ...]
    def __new__(cls, names: Iterable[tuple[Any, str]]) -> Self: ...
    def holds(self) -> bool: ...
