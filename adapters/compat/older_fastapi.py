"""The private names of newer FastAPI releases, with their meaning, for an older one that lacks them.

FastAPI moved and renamed these without changing what they do. They are put where the newer
releases have them, only where that release has nothing of the name, so that the adapter is
written against one FastAPI. What an older release does otherwise is a question to it here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import fastapi.dependencies.models as models
import fastapi.dependencies.utils as utils
import fastapi.exceptions
import fastapi.routing as routing

from freelane.adapters.compat import versions

# Each name, by the module that newer releases have it in.
MODULES = {"models": models, "utils": utils, "routing": routing}


def kind_of_call(name: str) -> Callable[[Any], bool]:
    """``name(call)``: a function in older releases, then a property of ``Dependant``."""
    function = getattr(utils, name, None)
    if function is not None:
        return function  # type: ignore[no-any-return]
    return lambda call: bool(getattr(models.Dependant(call=call), name))


def oauth_scopes(*, dependant: Any) -> list[str]:
    found = dependant.oauth_scopes if hasattr(dependant, "oauth_scopes") else dependant.security_scopes
    return list(found or ())


def cache_key(*, dependant: Any) -> Any:
    return dependant.cache_key


def embeds(fields: Any) -> bool:
    return bool(fields) and (len(fields) > 1 or bool(getattr(fields[0].field_info, "embed", None)))


async def solve_generator(*, dependant: Any, stack: Any, sub_values: dict[str, Any]) -> Any:
    return await utils.solve_generator(call=dependant.call, stack=stack, sub_values=sub_values)  # type: ignore[attr-defined]


def no_model(field: Any) -> None:
    """Models of parameters are told by their annotation, which is no scalar one."""


def is_json_field(field: Any) -> bool:
    return any(type(item).__name__ == "Json" or getattr(item, "__name__", "") == "Json" for item in field.field_info.metadata)


def aliases(field: Any) -> list[tuple[str, str]]:
    find = getattr(utils, "get_validation_alias", None)
    found = field.alias if find is None else find(field)
    return [(found, found)]


def no_context(function: Any) -> dict[str, Any]:
    return {}


NAMES: dict[str, Any] = {
    "models:_get_cache_key": cache_key,
    "models:_get_oauth_scopes": oauth_scopes,
    "utils:_get_param_aliases": aliases,
    "utils:_get_param_model": no_model,
    "utils:_is_json_field": is_json_field,
    "utils:_should_embed_body_fields": embeds,
    "utils:_solve_generator": solve_generator,
    "routing:_FASTAPI_SCOPE_KEY": "fastapi",
    "routing:_extract_endpoint_context": no_context,
}
CALLS = ("is_async_gen_callable", "is_coroutine_callable", "is_gen_callable")


def fill() -> None:
    """Give this FastAPI the names that it lacks."""
    for name in CALLS:
        if not hasattr(models, f"_{name}"):
            setattr(models, f"_{name}", kind_of_call(name))
    for place, value in NAMES.items():
        module, _, name = place.partition(":")
        if not hasattr(MODULES[module], name):
            setattr(MODULES[module], name, value)
            versions.supplied.add(value)


def names_places() -> bool:
    """Whether this FastAPI's validation errors say which endpoint they are of."""
    return "endpoint_ctx" in inspect.signature(fastapi.exceptions.ValidationException.__init__).parameters


def names_urls() -> bool:
    """Whether this FastAPI's validation errors have the address of pydantic's page on them (0.110.0 and older)."""
    from fastapi._compat import get_missing_field_error

    return "url" in get_missing_field_error(("query", "name"))


def empty_body() -> Any:
    """What stands for an empty body: None, which JSON's ``null`` is too, or in newer releases PydanticUndefined."""
    return inspect.signature(utils.solve_dependencies).parameters["body"].default


def takes_bodies_apart() -> bool:
    """Whether ``request_body_to_args`` is told how bodies are embedded."""
    return "embed_body_fields" in inspect.signature(utils.request_body_to_args).parameters
