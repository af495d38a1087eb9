"""Whether a handler can ask for its request's body, told by its code: who cannot need not wait for a client."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from freelane.adapters.pyre.injection import Parameter
from freelane.fastcore.interpreted import interpreted

# What a request gives without its body.
WITHOUT_BODY = frozenset({
    "client_ip", "cookies", "headers", "method", "params", "path", "query", "query_pairs", "query_params", "scope", "state",
})  # fmt: skip
# By these a function reaches a variable that its code does not name.
INDIRECT = frozenset({"_getframe", "currentframe", "eval", "exec", "locals", "vars"})


def may_ask(handler: Callable[..., Any], parameters: Sequence[Parameter]) -> bool:
    """False only where ``handler`` does nothing with its request but read what needs no body."""
    if any(item.where == "body" for item in parameters):
        return True
    return any(may_read(handler, item.name) for item in parameters if item.where == "request")


def hook_may_ask(hook: Callable[..., Any]) -> bool:
    """The same for a hook, whose first parameter is the request."""
    hook = interpreted(hook)
    return not inspect.isfunction(hook) or not hook.__code__.co_argcount or may_read(hook, hook.__code__.co_varnames[0])


def may_read(function: Callable[..., Any], name: str) -> bool:
    """Whether ``function`` may come by the body of its argument ``name``."""
    function = interpreted(function)
    if not inspect.isfunction(function):
        return True
    code = function.__code__
    if name not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] or name in code.co_cellvars:
        return True
    if INDIRECT.intersection(code.co_names):
        return True
    steps = list(dis.get_instructions(code))
    for at, step in enumerate(steps):
        if step.argval == name or (isinstance(step.argval, tuple) and name in step.argval):
            # It may be loaded to read an attribute of it, and no more.
            following = steps[at + 1] if at + 1 < len(steps) else step
            if not step.opname.startswith("LOAD_FAST") or isinstance(step.argval, tuple):
                return True
            if following.opname != "LOAD_ATTR" or following.argval not in WITHOUT_BODY:
                return True
    return False
