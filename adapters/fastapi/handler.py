"""Read what FastAPI's request handler knows of its route, out of the handler itself.

The handler is a closure over everything FastAPI worked out at registration, whichever way
the route came into the app (directly, by an included router, with merged dependencies).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant

from freelane.adapters.compat import fastapi_gate, older_fastapi
from freelane.adapters.compat.fastapi_private import is_async_gen_callable, is_gen_callable
from freelane.adapters.compat.versions import made_in

# Whether an empty body and JSON's null are the same to FastAPI's own code.
NONE_IS_EMPTY = older_fastapi.empty_body() is None


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
    # Before 0.118 the function that wraps handlers was Starlette's.
    if not is_made_by(app, "request_response") and not made_in(app, "starlette.routing", "request_response.<locals>.app"):
        if type(app).__name__ == "RequestBodyLimitMiddleware":
            raise NotCovered("it has a max_body_size of its own")
        raise NotCovered("something is wrapped around its handler")
    cells = closure(app)
    original = cells.get("f", cells.get("func"))
    if original is None or not is_made_by(original, "get_request_handler"):
        raise NotCovered("its handler is not FastAPI's own")
    found = closure(original)
    if lacking := sorted(fastapi_gate.HANDLER - found.keys()):
        raise NotCovered(f"this FastAPI's handler does not know {', '.join(lacking)}")
    dependant = found["dependant"]
    if found.get("is_sse_stream") or found.get("is_json_stream"):
        raise NotCovered("it streams what its endpoint yields")
    if is_async_gen_callable(dependant.call) or is_gen_callable(dependant.call):
        raise NotCovered("it streams what its endpoint yields")
    for sub in (dependant, *below(dependant)):
        if getattr(sub, "concurrency", None) is not None:
            raise NotCovered("a dependency limits its concurrency")
        if sub.websocket_param_name is not None:
            raise NotCovered("a dependency asks for a WebSocket")
    if not fastapi_gate.in_scope(original):
        if found["is_body_form"]:
            raise NotCovered("this FastAPI closes forms in its handler")
        if any(is_async_gen_callable(sub.call) or is_gen_callable(sub.call) for sub in below(dependant)):
            raise NotCovered("this FastAPI closes dependencies in its handler")
    if found["body_field"] is not None and NONE_IS_EMPTY:
        if found["is_body_form"] or found.get("embed_body_fields", True) or len(dependant.body_params) != 1:
            raise NotCovered("this FastAPI takes null in a body for nothing")
    return Handler(
        original=original,
        dependant=dependant,
        body_field=found["body_field"],
        is_body_form=bool(found["is_body_form"]),
        is_coroutine=found["is_coroutine"],
        embed_body_fields=bool(found.get("embed_body_fields")),
        strict_content_type=bool(found.get("actual_strict_content_type")),
        form_limits=found.get("form_limits"),
        overrides=found["dependency_overrides_provider"],
        status_code=found["status_code"],
        response_class=found["actual_response_class"],
        default_class=isinstance(found.get("response_class"), DefaultPlaceholder),
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
