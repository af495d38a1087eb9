from typing import Any

class WholeBody:
    watcher: Any
    proto: Any
    def __call__(self, future: Any) -> None: ...
