from collections.abc import Callable
from typing import Any

from typing_extensions import disjoint_base

from freelane.fastcore.asgi.http import HTTPExchange
from freelane.fastcore.asgi.loop_context import LoopContext
from freelane.fastcore.asgi.websocket import WebSocketExchange

@disjoint_base
class Gateway(LoopContext):
    gil_lane: Callable[[HTTPExchange | WebSocketExchange], None] | None
    def schedule(self, watcher: Any) -> None: ...
    def begin(self, watcher: Any) -> None: ...
    def open(self, source: Any, proto: Any) -> HTTPExchange | WebSocketExchange: ...
