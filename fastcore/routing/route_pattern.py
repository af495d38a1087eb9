"""Reads a route's path pattern and plans its road through the router's tree.

The syntax is Starlette's (``starlette.routing.compile_path``): ``{name}`` and
``{name:convertor}``, anywhere in the path. Runs when routes are added, never per request.

A route stands for one greedy regular expression, ``^...$``. Most of its parameters can
end in one place only, whatever follows; those become typed steps. From the first
parameter whose end depends on backtracking (``/{a}-{b}``), or whose regex is the user's
own, the plan ends in a ``REGEX`` step that runs the whole expression.
"""

import re
import sys
from collections.abc import Mapping
from typing import NamedTuple, Protocol

STATIC, UUID, INT, FLOAT, STR, PATH, REGEX = range(7)
AS_TEXT, AS_INT, AS_FLOAT, AS_UUID, AS_CALL = range(5)

# Most specific first; a user's own convertor stands between the typed ones and str.
_RANK = {UUID: 0, INT: 1, FLOAT: 2, REGEX: 3, STR: 4, PATH: 5}

_PARAM = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)(?::([a-zA-Z_][a-zA-Z0-9_]*))?\}")

_BUILT_IN = {
    "str": ("[^/]+", STR, AS_TEXT),
    "path": (".*", PATH, AS_TEXT),
    "int": ("[0-9]+", INT, AS_INT),
    "float": (r"[0-9]+(\.[0-9]+)?", FLOAT, AS_FLOAT),
    "uuid": (
        "[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}",
        UUID,
        AS_UUID,
    ),
}
_KIND_OF_REGEX = {regex: kind for regex, kind, _ in _BUILT_IN.values()}


class Convertor(Protocol):
    """What a user registers: Starlette's ``Convertor``, of which these two are used."""

    @property
    def regex(self) -> str: ...

    def convert(self, value: str, /) -> object: ...


class Param(NamedTuple):
    name: str
    regex: str
    kind: int  # how it is matched; REGEX when the regex is the user's own
    making: int  # how its value is made, one of AS_*
    convertor: Convertor | None  # only with AS_CALL


class Step(NamedTuple):
    kind: int
    text: str  # STATIC: itself; STR and PATH: what must follow; REGEX: the expression
    rank: tuple[int, ...]


class Pattern(NamedTuple):
    path: str  # a mount's tail included
    steps: tuple[Step, ...]
    params: tuple[Param, ...]
    regex: re.Pattern[str] | None  # only when the last step is REGEX
    groups: tuple[int, ...]  # the regex group of each parameter


def parse(
    path: str,
    *,
    prefix: bool = False,
    types: Mapping[str, Convertor] | None = None,
    convertors: Mapping[str, Convertor] | None = None,
) -> Pattern:
    """Read ``path`` into a ``Pattern``.

    ``types`` adds convertors by type name, ``convertors`` replaces them by parameter name.
    ``prefix`` is Starlette's ``Mount``: the pattern gets ``/{path:path}`` at its end.

    Raises ``ValueError``: a path that does not begin with ``/`` (an empty one may), an
    unknown convertor, a name used twice, a regex that does not compile or names groups.
    """
    if path and not path.startswith("/"):
        raise ValueError(f"route path {path!r} must start with '/'")
    if prefix:
        path = path.rstrip("/") + "/{path:path}"
    tokens = _tokens(path, types or {}, convertors or {})
    params = tuple(token for token in tokens if isinstance(token, Param))
    names = [param.name for param in params]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"parameter {', '.join(twice)} is used more than once in {path!r}")
    whole = True
    for param in params:
        if param.kind == REGEX:
            whole = _stands_alone(param, path) and whole
    text = _regex_text(tokens)
    steps = _plan(tokens, text) if whole else (Step(REGEX, text, _regex_rank(tokens, 0)),)
    regex = None
    groups: tuple[int, ...] = ()
    if steps and steps[-1].kind == REGEX:
        try:
            regex = re.compile(text)
        except re.error as exc:
            raise ValueError(f"route path {path!r} makes no valid regex: {exc}") from exc
        groups = tuple(regex.groupindex[name] for name in names)
    return Pattern(path, steps, params, regex, groups)


def _tokens(path: str, types: Mapping[str, Convertor], convertors: Mapping[str, Convertor]) -> list[str | Param]:
    tokens: list[str | Param] = []
    at = 0
    for found in _PARAM.finditer(path):
        if found.start() > at:
            tokens.append(path[at : found.start()])
        name, type_name = sys.intern(found[1]), found[2] or "str"
        convertor = convertors.get(name, types.get(type_name))
        if convertor is not None:
            kind = _KIND_OF_REGEX.get(convertor.regex, REGEX)
            tokens.append(Param(name, convertor.regex, kind, AS_CALL, convertor))
        elif type_name in _BUILT_IN:
            tokens.append(Param(name, *_BUILT_IN[type_name], None))
        else:
            raise ValueError(f"unknown path convertor {type_name!r} in {path!r}")
        at = found.end()
    if at < len(path):
        tokens.append(path[at:])
    return tokens


def _stands_alone(param: Param, path: str) -> bool:
    """Whether the parameter's regex is whole in itself, so that the text before it is fixed."""
    try:
        alone = re.compile(param.regex)
    except re.error:
        return False  # it leans on its neighbours: a back-reference, a bracket closed early
    if alone.groupindex:
        raise ValueError(f"the convertor of {param.name!r} in {path!r} names groups of its own")
    return True


def _regex_text(tokens: list[str | Param]) -> str:
    pieces = [re.escape(token) if isinstance(token, str) else f"(?P<{token.name}>{token.regex})" for token in tokens]
    return "^" + "".join(pieces) + "$"


def _regex_rank(tokens: list[str | Param], at: int) -> tuple[int, ...]:
    token = tokens[at]
    kind = token.kind if isinstance(token, Param) else REGEX
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    fixed = sum(len(token) for token in tokens if isinstance(token, str))
    return _RANK[kind], -len(after) if isinstance(after, str) else 0, -fixed


def _plan(tokens: list[str | Param], text: str) -> tuple[Step, ...]:
    tokens = list(tokens)
    steps: list[Step] = []
    for at, token in enumerate(tokens):
        if isinstance(token, str):
            if token:
                steps.append(Step(STATIC, token, ()))
            continue
        after = tokens[at + 1] if at + 1 < len(tokens) else ""
        last = at + 2 >= len(tokens)
        follows = _what_follows(token.kind, after, last)
        if follows is None:
            steps.append(Step(REGEX, text, _regex_rank(tokens, at)))
            break
        steps.append(Step(token.kind, follows, (_RANK[token.kind], -len(follows), 0)))
        if follows and isinstance(after, str):
            tokens[at + 1] = after[len(follows) :]
    return tuple(steps)


def _what_follows(kind: int, after: "str | Param", last: bool) -> str | None:
    """The text a STR or PATH step takes with it, ``""`` for none; None: only a regex can tell."""
    if kind == UUID:
        return ""  # its length follows from its own text, so anything may come after it
    if kind == REGEX or isinstance(after, Param):
        return None
    if kind == INT:
        return None if after[:1].isascii() and after[:1].isdigit() else ""
    if kind == FLOAT:
        return None if after[:1] == "." or after[:1].isascii() and after[:1].isdigit() else ""
    if kind == STR:
        head, slash, _ = after.partition("/")
        return head if slash or last else None
    return after if last and "\n" not in after else None
