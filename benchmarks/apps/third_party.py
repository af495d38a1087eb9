"""The ordinary app behind popular middleware that is not Starlette's, as each one's documentation adds it.

``benchmarks.apps.third_party:app_NAME``, where NAME is one of ``MAKERS``; its packages are imported then.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from benchmarks.apps.ordinary import make_app


def correlation_id(app: FastAPI) -> None:
    from asgi_correlation_id import CorrelationIdMiddleware

    # The same for every server, so that answers can be compared.
    app.add_middleware(CorrelationIdMiddleware, generator=lambda: "0" * 32)


def prometheus(app: FastAPI) -> None:
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator().instrument(app).expose(app)


def sentry(app: FastAPI) -> None:
    import sentry_sdk

    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=0.0)
    from sentry_sdk.integrations.asgi import SentryAsgiMiddleware

    app.add_middleware(SentryAsgiMiddleware)


def limits(app: FastAPI) -> None:
    from slowapi import Limiter, _rate_limit_exceeded_handler
    from slowapi.errors import RateLimitExceeded
    from slowapi.util import get_remote_address

    app.state.limiter = Limiter(key_func=get_remote_address, default_limits=["100000000/hour"])
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)  # type: ignore[arg-type]


def slowapi(app: FastAPI) -> None:
    from slowapi.middleware import SlowAPIMiddleware

    limits(app)
    app.add_middleware(SlowAPIMiddleware)


def slowapi_asgi(app: FastAPI) -> None:
    from slowapi.middleware import SlowAPIASGIMiddleware

    limits(app)
    app.add_middleware(SlowAPIASGIMiddleware)


def opentelemetry(app: FastAPI) -> None:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.trace import TracerProvider

    app.add_middleware(OpenTelemetryMiddleware, tracer_provider=TracerProvider())


MAKERS: dict[str, Callable[[FastAPI], None]] = {
    "none": lambda app: None,
    "correlation_id": correlation_id,
    "prometheus": prometheus,
    "sentry": sentry,
    "slowapi": slowapi,
    "slowapi_asgi": slowapi_asgi,
    "opentelemetry": opentelemetry,
}


def __getattr__(name: str) -> FastAPI:
    make = MAKERS.get(name.removeprefix("app_"))
    if make is None or not name.startswith("app_"):
        raise AttributeError(name)
    app = globals()[name] = make_app()
    make(app)
    return app
