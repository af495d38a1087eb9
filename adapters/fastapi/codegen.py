"""Write a route's handler as Python source: FastAPI's solve_dependencies, unrolled for one route.

The order of everything that can be seen is FastAPI's: dependencies before the parameters of
whoever asks for them, errors collected in that order, the endpoint called only when there is
none, a dependency called only when its own parameters have none. The first thing that does
not fit sends the parameters of that function, and of no other, through FastAPI's own code.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any, Literal

from fastapi.background import BackgroundTasks
from fastapi.dependencies.models import Dependant
from fastapi.security import SecurityScopes
from pydantic_core import PydanticUndefined, ValidationError

from freelane.adapters.compat.fastapi_private import (
    get_cache_key,
    get_missing_field_error,
    get_oauth_scopes,
    is_async_gen_callable,
    should_embed_body_fields,
)
from freelane.adapters.coroutines import finish
from freelane.adapters.fastapi import fields, opened, steps
from freelane.adapters.fastapi.handler import Handler, below
from freelane.adapters.fastapi.kinds import (
    can_fail,
    leaves_stacks,
    never_waits,
    opens,
    opens_inside,
    runs_on,
    shows_request,
    yields,
)
from freelane.adapters.fastapi.responses import Render
from freelane.adapters.fastapi.segments import INDENT, Unit, split, whole
from freelane.adapters.starlette.plan import Delegate
from freelane.fastcore.json.query import last_values

NAME_LENGTH = 40  # of what a generated name takes over from the app's


def text(value: str) -> str:
    """A literal of ``value``, also where it is of a subclass with a repr of its own, as an enum's member."""
    return str.__repr__(value)


def keyword(name: str, value: str) -> str:
    """An argument of a call, also where Python would read another name in its place (PEP 3131: NFKC) or none."""
    plain = name.isidentifier() and name.isascii() and not iskeyword(name) and name != "__debug__"
    return f"{name}={value}" if plain else f"**{{{text(name)}: {value}}}"


@dataclass
class Solved:
    """What was generated for one dependency: its value, and where its errors are in the list."""

    value: str
    span: tuple[str, str] | None


@dataclass
class Writer:
    """Writes one handler, of one of three kinds:

    - "thread": a function; everything runs where it is called.
    - "loop": a coroutine function; what must run on a thread is as few calls there as can be.
    - "stacks": the same, inside FastAPI's exit stacks, which close what it opens.
    """

    handler: Handler
    render: Render
    kind: Literal["thread", "loop", "stacks"]
    units: list[Unit] = field(default_factory=list)
    where: str = "any"
    names: dict[str, Any] = field(default_factory=dict)
    solved: dict[Any, Solved] = field(default_factory=dict)
    depth: int = 1
    leaves: bool = False  # stacks that close what the app's own code puts into them
    count: int = 0
    taken: set[str] = field(default_factory=set)

    def add(self, line: str) -> None:
        if not self.units or self.units[-1].where != self.where:
            self.units.append(Unit(self.where))
        self.units[-1].lines.append(INDENT * self.depth + line)

    @contextmanager
    def running(self, call: Any) -> Iterator[None]:
        """Where the lines that call ``call`` run."""
        self.where = runs_on(call)
        yield
        self.where = "any"

    def name(self, value: Any, stem: str) -> str:
        """A global of the generated function that holds ``value``."""
        made = self.unused(stem)
        self.names[made] = value
        return made

    def unused(self, stem: str) -> str:
        """A name that the generated function does not have yet."""
        if not (stem.isidentifier() and stem.isascii()):
            stem = "call"
        stem = stem[:NAME_LENGTH]
        while True:
            self.count += 1
            made = f"{stem}_{self.count}"
            if made not in self.taken:
                self.taken.add(made)
                return made

    def write(self) -> Callable[..., Any]:
        """The handler: ``(request, opened, body)``, without what the route does not have (see ``parameters``)."""
        handler = self.handler
        context = steps.endpoint_context(handler.dependant)
        self.leaves = self.kind != "stacks" and leaves_stacks(handler)
        self.prologue()
        errors = can_fail(handler.dependant)
        if errors:
            self.add("errors = []")
        arguments, _ = self.solve(handler.dependant)
        if errors:
            self.add("if errors:")
            data = "data" if handler.body_field else "Undefined"
            self.add(
                f"{INDENT}raise {self.name(steps.invalid, 'invalid')}({self.name(context, 'context')}, request, errors, {data})"
            )
        background = "background" if self.uses("background_tasks_param_name") else "None"
        response = "response" if self.uses("response_param_name") else "None"
        with self.running(handler.dependant.call):
            self.call(handler.dependant, "value", arguments, last=True)
            self.add(f"answer = {self.name(self.render, 'render')}(request, value, {background}, {response})")
        self.names["Undefined"] = PydanticUndefined
        source = "\n".join(self.assembled())
        exec(compile(source, f"<freelane handler of {ascii(handler.dependant.path)[1:-1]}>", "exec"), self.names)
        made: Callable[..., Any] = self.names["handler"]
        made.source = source  # type: ignore[attr-defined]
        return made

    def parameters(self) -> list[str]:
        found = ["request"]
        if self.kind != "stacks" and (self.leaves or opens(self.handler)):
            found.append("opened")
        if self.handler.body_field:
            found.append("body")
        return found

    def assembled(self) -> list[str]:
        """The source of the handler, and of what it has run on threads."""
        parameters = self.parameters()
        functions: list[str] = []
        inside = self.leaves or self.kind != "stacks" and opens_inside(self.handler)
        if self.kind == "loop":
            hop = self.name(steps.in_thread, "in_thread")
            functions, body = split(self.units, [*parameters, *(["inside"] if inside else [])], "answer", hop)
        else:
            body = whole(self.units)
        if inside:
            body = self.closed_inside(body)
        head = f"{'def' if self.kind == 'thread' else 'async def'} handler({', '.join(parameters)}):"
        return [*functions, head, *body, f"{INDENT}return answer"]

    def closed_inside(self, body: list[str]) -> list[str]:
        """``body`` inside of what closes the generators that do not outlive it."""
        wait = "" if self.kind == "thread" else "await "
        a = "" if self.kind == "thread" else "a"
        return [
            f"{INDENT}inside = {self.name(opened.OpenedInside, 'OpenedInside')}()",
            f"{INDENT}try:",
            *(INDENT + line for line in body),
            f"{INDENT}except BaseException as exc:",
            f"{INDENT}{INDENT}raise {wait}inside.{a}fail(exc)",
            f"{INDENT}error = {wait}inside.{a}close(None) if inside else None",
            f"{INDENT}if error is not None:",
            f"{INDENT}{INDENT}raise error",
        ]

    def uses(self, attribute: str) -> bool:
        return any(getattr(node, attribute) for node in (self.handler.dependant, *self.handler.calls()))

    def prologue(self) -> None:
        handler = self.handler
        if handler.overrides is not None and handler.dependant.dependencies and not handler.is_body_form:
            self.add(f"if {self.name(handler.overrides, 'provider')}.dependency_overrides:")
            self.add(f"{INDENT}raise {self.name(Delegate, 'Delegate')}")
        if handler.is_body_form:
            self.add("data = body")
        elif handler.body_field:
            self.add(f"data = {self.name(steps.parse_body, 'parse')}(request, body, {handler.strict_content_type!r})")
            if shows_request(handler):
                self.add(f"{self.name(steps.keep_body, 'keep')}(request, body, data)")
        if self.leaves:
            self.add("if opened is not None:")
            self.add(f"{INDENT}{self.name(opened.leave_stacks, 'leave')}(request.scope, opened, inside)")
        if self.uses("query_params"):
            self.add(f"query = {self.name(last_values, 'last_values')}(request.scope['query_string'])")
        if self.uses("path_params"):
            self.add("path = request.scope['path_params']")
        if self.uses("header_params"):
            self.add("headers = request.headers")
        if self.uses("cookie_params"):
            self.add("cookies = request.cookies")
        if self.uses("response_param_name"):
            self.add(f"response = {self.name(steps.injected_response, 'injected')}()")
        if self.uses("background_tasks_param_name"):
            self.add("background = None")

    def solve(self, dependant: Dependant) -> tuple[dict[str, str], tuple[str, str] | None]:
        """Write what finds the arguments of one call: their expressions, and the span of its errors."""
        arguments: dict[str, str] = {}
        span: tuple[str, str] | None = None
        if can_fail(dependant):
            span = self.unused("from"), self.unused("to")
            self.add(f"{span[0]} = len(errors)")
        for sub in dependant.dependencies:
            value = self.dependency(sub)
            if sub.name is not None:
                arguments[sub.name] = value
        arguments |= self.own(dependant)
        self.special(dependant, arguments)
        if span:
            self.add(f"{span[1]} = len(errors)")
        return arguments, span

    def dependency(self, sub: Dependant) -> str:
        """Write the solving and the call of a dependency; returns the name of its value."""
        key = get_cache_key(dependant=sub)
        known = self.solved.get(key)
        nodes = [sub, *below(sub)]
        if known is not None and all(node.use_cache for node in nodes) and all(map(fields.without_effects, nodes)):
            # FastAPI validates its parameters once more, with the same outcome.
            if known.span:
                self.add(f"if {known.span[0]} != {known.span[1]}:")
                self.add(f"{INDENT}errors.extend(errors[{known.span[0]}:{known.span[1]}])")
            return known.value
        arguments, span = self.solve(sub)
        value = self.unused("value")
        if known is not None and sub.use_cache:
            # Its own dependencies were called again; its value is the first one's.
            return known.value
        with self.running(sub.call):
            if span:
                self.add(f"{value} = None")
                self.add(f"if {span[0]} == {span[1]}:")
                self.depth += 1
            self.call(sub, value, arguments)
            if span:
                self.depth -= 1
        self.solved.setdefault(key, Solved(value, span))
        return value

    def own(self, dependant: Dependant) -> dict[str, str]:
        """Write what takes the parameters that a function names itself."""
        body = list(dependant.body_params)
        everything = [
            *((item, "path") for item in dependant.path_params),
            *((item, "query") for item in dependant.query_params),
            *((item, "headers") for item in dependant.header_params),
            *((item, "cookies") for item in dependant.cookie_params),
            *((item, "data") for item in body),
        ]
        if not everything:
            return {}
        arguments = {item.name: self.unused(item.name) for item, _ in everything}
        single = len(body) == 1 and not self.handler.embed_body_fields and not should_embed_body_fields(body)
        found = [(item, source, self.step(item, source)) for item, source in everything]
        if any(step is None for _, _, step in found):
            self.by_fastapi(dependant, arguments)
            return arguments
        for item, source, step in found:
            assert step is not None
            if single and source == "data":
                self.take_body(step, arguments[item.name])
            else:
                self.take(item, step, source, arguments[item.name])
        return arguments

    def by_fastapi(self, dependant: Dependant, arguments: dict[str, str]) -> None:
        form = self.handler.is_body_form and bool(dependant.body_params)
        make = steps.own_form_arguments if form else steps.own_arguments
        own = self.name(make(dependant, self.handler.embed_body_fields), "own")
        data = "data" if dependant.body_params else "Undefined"
        values, wrong = self.unused("values"), self.unused("wrong")
        self.add(f"{values}, {wrong} = {'await ' if form else ''}{own}(request, {data})")
        self.add(f"errors += {wrong}")
        for name, target in arguments.items():
            self.add(f"{target} = {values}.get({text(name)})")

    def step(self, item: Any, source: str) -> fields.Step | None:
        """How a parameter is taken; None where FastAPI has to do it."""
        if source == "data":
            return None if self.handler.is_body_form else fields.body_step(item)
        step = fields.step(item)
        if source != "path" or step is None:
            return step
        # A convertor may have made something else of a path parameter than text.
        return None if not step.required else step if step.validate else fields.make_step(item, step.alias, text=False)

    # Each parameter is validated once, valid or not, as by FastAPI: a validator may do something.

    def take(self, item: Any, step: fields.Step, source: str, target: str) -> None:
        """Write what sets ``target`` to a member of ``source``, or adds to the errors."""
        place = self.name(("body" if source == "data" else item.field_info.in_.value, step.alias), "place")
        if step.required:
            self.block("try", f"{target} = {source}[{text(step.alias)}]")
            self.block("except (KeyError, TypeError)", *self.missing(target, place))
            self.block("else", *self.validated(step, target, place))
        elif source == "data":
            self.block("try", f"{target} = Undefined if data is Undefined else data.get({text(step.alias)}, Undefined)")
            # FastAPI refuses a body that is no object for the sake of optional members, too.
            self.block("except AttributeError", *self.missing(target, place))
            checked = [INDENT + line for line in self.validated(step, target, place)]
            absent = [f"if {target} is Undefined:", f"{INDENT}{target} = {self.default(step)}"]
            self.block("else", *absent, *(["else:", *checked] if checked else []))
        else:
            self.add(f"{target} = {source}.get({text(step.alias)})")
            self.block(f"if {target} is None", f"{target} = {self.default(step)}")
            self.block("else", *self.validated(step, target, place))

    def take_body(self, step: fields.Step, target: str) -> None:
        """Write what sets ``target`` to the whole body; an empty one is Undefined."""
        place = self.name(("body",), "place")
        absent = self.missing(target, place) if step.required else [f"{target} = {self.default(step)}"]
        self.block("if data is Undefined", *absent)
        self.block("else", f"{target} = data", *self.validated(step, target, place))

    def block(self, head: str, *lines: str) -> None:
        if lines:
            self.add(f"{head}:")
            for line in lines:
                self.add(INDENT + line)

    def missing(self, target: str, place: str) -> list[str]:
        return [f"{target} = None", f"errors.append({self.name(get_missing_field_error, 'missing')}({place}))"]

    def default(self, step: fields.Step) -> str:
        name = self.name(step.default, "default")
        return f"{name}()" if step.copied else name

    def validated(self, step: fields.Step, target: str, place: str) -> list[str]:
        if step.validate is None:
            return []
        return [
            "try:",
            f"{INDENT}{target} = {self.name(step.validate, 'validate')}({target}, from_attributes=True)",
            f"except {self.name(ValidationError, 'ValidationError')} as exc:",
            f"{INDENT}{target} = None",
            f"{INDENT}errors += {self.name(steps.located, 'located')}(exc, {place})",
        ]

    def special(self, dependant: Dependant, arguments: dict[str, str]) -> None:
        """The arguments that FastAPI fills in by their type."""
        if dependant.http_connection_param_name:
            arguments[dependant.http_connection_param_name] = "request"
        if dependant.request_param_name:
            arguments[dependant.request_param_name] = "request"
        if dependant.background_tasks_param_name:
            self.add("if background is None:")
            self.add(f"{INDENT}background = {self.name(BackgroundTasks, 'BackgroundTasks')}()")
            arguments[dependant.background_tasks_param_name] = "background"
        if dependant.response_param_name:
            arguments[dependant.response_param_name] = "response"
        if dependant.security_scopes_param_name:
            scopes = self.name(get_oauth_scopes(dependant=dependant), "scopes")
            made = f"{self.name(SecurityScopes, 'SecurityScopes')}(scopes={scopes}.copy())"
            arguments[dependant.security_scopes_param_name] = made

    def call(self, dependant: Dependant, target: str, arguments: dict[str, str], last: bool = False) -> None:
        """Write a call whose result is ``target``."""
        call = self.name(dependant.call, getattr(dependant.call, "__name__", "call"))
        written = ", ".join(keyword(name, value) for name, value in arguments.items())
        more = ", " + written if written else ""
        if yields(dependant.call):
            self.open(dependant, target, arguments, f"{call}({written})")
        elif never_waits(dependant.call):
            self.add(f"{target} = {self.name(finish, 'finish')}({call}({written}))")
        elif self.where == "loop":
            self.add(f"{target} = await {call}({written})")
        elif self.kind == "stacks":
            self.add(f"{target} = await {self.name(steps.in_thread, 'in_thread')}({call}{more})")
        elif last and not self.handler.dependant.dependencies:
            self.add(f"{target} = {call}({written})")
        else:
            # FastAPI gives every such call a copy of the context of its own.
            self.add(f"{target} = {self.copied()}().run({call}{more})")

    def open(self, dependant: Dependant, target: str, arguments: dict[str, str], made: str) -> None:
        """Write the first step of a generator."""
        inside = dependant.scope == "function"
        if self.kind == "stacks":
            enter, own = self.name(steps.enter_generator, "enter"), self.name(dependant, "dependant")
            values = ", ".join(f"{text(name)}: {value}" for name, value in arguments.items())
            self.add(f"{target} = await {enter}(request, {own}, {inside}, {{{values}}})")
            return
        generator = self.unused("generator")
        self.add(f"{generator} = {made}")
        if is_async_gen_callable(dependant.call):
            self.add(f"{target} = await {self.name(opened.afirst, 'first')}({generator})")
        else:
            self.add(f"{target} = {self.copied()}().run({self.name(opened.first, 'first')}, {generator})")
        self.add(f"{'inside' if inside else 'opened'}.append({generator})")

    def copied(self) -> str:
        self.names["copy_context"] = contextvars.copy_context
        return "copy_context"
