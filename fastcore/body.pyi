from collections.abc import Callable
from typing import Any, Self

from typing_extensions import disjoint_base

@disjoint_base
class WholeBody:
    def __new__(cls, watcher: Any, source: Any, then: Callable[[bytes], None]) -> Self: ...
    def begin(self) -> bool: ...
    def __call__(self, future: Any) -> None: ...
