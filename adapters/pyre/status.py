"""HTTP and WebSocket status constants: ``HTTP_200_OK``, ``HTTP_404_NOT_FOUND``, ``WS_1000_NORMAL_CLOSURE``."""

from starlette.status import *  # noqa: F403
from starlette.status import __all__ as __all__
