from typing import Any

from typing_extensions import disjoint_base

@disjoint_base
class BodyReader:
    watcher: Any
    proto: Any
    def __call__(self, future: Any) -> None: ...
