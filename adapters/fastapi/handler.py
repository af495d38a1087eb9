"""Read what FastAPI's request handler knows of its route, out of the handler itself.

The handler is a closure over everything FastAPI worked out at registration, whichever way
the route came into the app (directly, by an included router, with merged dependencies).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant, _is_async_gen_callable, _is_gen_callable

from freelane.adapters.compat import fastapi_gate
from freelane.adapters.compat.versions import made_in


class NotCovered(Exception):
    """A route that FastAPI must handle itself; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Handler:
    """FastAPI's handler of a route, and what it closes over, by FastAPI's own names."""

    original: Callable[[Any], Any]
    dependant: Dependant
    body_field: Any
    is_body_form: bool
    is_coroutine: bool
    embed_body_fields: bool
    strict_content_type: bool
    form_limits: Any
    overrides: Any
    status_code: int | None
    response_class: type
    default_class: bool
    response_field: Any
    dump: dict[str, Any]

    def calls(self) -> Iterator[Dependant]:
        """Every dependency, at whatever depth."""
        return below(self.dependant)


def below(dependant: Dependant) -> Iterator[Dependant]:
    for sub in dependant.dependencies:
        yield sub
        yield from below(sub)


def closure(function: Any) -> dict[str, Any]:
    cells = function.__closure__ or ()
    return dict(zip(function.__code__.co_freevars, (cell.cell_contents for cell in cells)))


def is_made_by(function: Any, maker: str) -> bool:
    return made_in(function, "fastapi.routing", f"{maker}.<locals>.app")


def read(app: Any) -> Handler:
    """The handler behind a route's ``app``. Raises NotCovered."""
    if not is_made_by(app, "request_response"):
        if type(app).__name__ == "RequestBodyLimitMiddleware":
            raise NotCovered("it has a max_body_size of its own")
        raise NotCovered("something is wrapped around its handler")
    original = closure(app).get("f")
    if original is None or not is_made_by(original, "get_request_handler"):
        raise NotCovered("its handler is not FastAPI's own")
    found = closure(original)
    if lacking := sorted(fastapi_gate.HANDLER - found.keys()):
        raise NotCovered(f"this FastAPI's handler does not know {', '.join(lacking)}")
    dependant = found["dependant"]
    if found["is_sse_stream"] or found["is_json_stream"]:
        raise NotCovered("it streams what its endpoint yields")
    if _is_async_gen_callable(dependant.call) or _is_gen_callable(dependant.call):
        raise NotCovered("it streams what its endpoint yields")
    for sub in (dependant, *below(dependant)):
        if getattr(sub, "concurrency", None) is not None:
            raise NotCovered("a dependency limits its concurrency")
        if sub.websocket_param_name is not None:
            raise NotCovered("a dependency asks for a WebSocket")
    return Handler(
        original=original,
        dependant=dependant,
        body_field=found["body_field"],
        is_body_form=bool(found["is_body_form"]),
        is_coroutine=found["is_coroutine"],
        embed_body_fields=found["embed_body_fields"],
        strict_content_type=found["actual_strict_content_type"],
        form_limits=found.get("form_limits"),
        overrides=found["dependency_overrides_provider"],
        status_code=found["status_code"],
        response_class=found["actual_response_class"],
        default_class=isinstance(found["response_class"], DefaultPlaceholder),
        response_field=found["response_field"],
        dump={
            "include": found["response_model_include"],
            "exclude": found["response_model_exclude"],
            "by_alias": found["response_model_by_alias"],
            "exclude_unset": found["response_model_exclude_unset"],
            "exclude_defaults": found["response_model_exclude_defaults"],
            "exclude_none": found["response_model_exclude_none"],
        },
    )
