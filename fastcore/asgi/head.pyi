from collections.abc import Callable
from typing import Any, Self

from typing_extensions import disjoint_base

@disjoint_base
class HeadCheck:
    def __new__(cls, schedule: Callable[[Any], None], logger: Any = None) -> Self: ...
    def __call__(self, watcher: Any) -> None: ...
