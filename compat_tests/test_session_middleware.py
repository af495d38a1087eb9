"""Starlette's SessionMiddleware and AuthenticationMiddleware, compiled: every answer is the one that the app itself gives."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from itsdangerous import TimestampSigner
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser, requires
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import Session, SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from compat_tests.test_middleware import Pair, pair
from freelane.adapters.starlette import stack

__all__ = ["pair"]
pytestmark = pytest.mark.thread_unsafe(reason="each test has a loop and its threads")

NOW = 1_700_000_000
KEY = "secret"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time that cookies are signed with: the same for both servers."""
    now = [NOW]
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: now[0])
    return now


async def untouched(request: Request) -> Response:
    return JSONResponse(sorted(key for key in request.scope if key in ("session", "auth", "user") or "freelane" in key))


async def read(request: Request) -> Response:
    return JSONResponse(request.session, headers={"x-type": type(request.session).__name__})


async def read_and_vary(request: Request) -> Response:
    return JSONResponse(request.session, headers={"vary": "accept-encoding"})


async def write(request: Request) -> Response:
    request.session["n"] = request.session.get("n", 0) + 1
    return PlainTextResponse("w" * 900)


def write_in_thread(request: Request) -> Response:
    request.session["thread"] = True
    return PlainTextResponse("t" * 900)


def read_in_thread(request: Request) -> Response:
    return JSONResponse(request.session)


async def clear(request: Request) -> Response:
    request.session.clear()
    return PlainTextResponse("cleared")


async def clear_and_stream(request: Request) -> Response:
    request.session.clear()
    return StreamingResponse(iter([b"one", b"two"]))


async def write_and_stream(request: Request) -> Response:
    request.session["streamed"] = "yes"
    return StreamingResponse(iter([b"one", b"two" * 400]))


async def write_and_refuse(request: Request) -> Response:
    request.session["refused"] = 1
    raise HTTPException(418)


async def write_and_fail(request: Request) -> Response:
    request.session["failed"] = 1
    raise ValueError("boom")


async def write_and_be_handled(request: Request) -> Response:
    request.session["handled"] = 1
    raise KeyError("handled")


async def write_and_go_on(request: Request) -> Response:
    request.session["later"] = 1
    return PlainTextResponse("later", background=BackgroundTask(lambda: None))


def fail_behind_response(request: Request) -> Response:
    request.session["behind"] = 1
    return PlainTextResponse("behind", background=BackgroundTask(dict[str, str]().__getitem__, "behind"))


async def write_what_is_no_json(request: Request) -> Response:
    request.session["x"] = object()
    return PlainTextResponse("x")


async def replace_by_dict(request: Request) -> Response:
    request.scope["session"] = {"plain": 1}
    return PlainTextResponse("replaced")


async def replace_by_session(request: Request) -> Response:
    request.scope["session"] = session = Session({"a": 1})
    session["b"] = 2
    return PlainTextResponse("replaced")


async def remove(request: Request) -> Response:
    del request.scope["session"]
    return PlainTextResponse("removed")


async def set_cookie(request: Request) -> Response:
    request.session["own"] = 1
    response = PlainTextResponse("cookies")
    response.set_cookie("other", "1")
    return response


ENDPOINTS = (
    untouched, read, read_and_vary, write, write_in_thread, read_in_thread, clear, clear_and_stream, write_and_stream,
    write_and_refuse, write_and_fail, write_and_be_handled, write_and_go_on, write_what_is_no_json,
    replace_by_dict, replace_by_session, remove, set_cookie,
)  # fmt: skip
PATHS = (*(f"/{endpoint.__name__}" for endpoint in ENDPOINTS), "/nowhere")


async def on_key_error(request: Request, exc: Exception) -> Response:
    return JSONResponse(request.session, 400)


async def on_error(request: Request, exc: Exception) -> Response:
    return JSONResponse(request.scope["session"], 500)


def make(*middleware: Middleware, kind: type[Starlette] = Starlette) -> Starlette:
    routes = [Route(f"/{endpoint.__name__}", endpoint) for endpoint in (*ENDPOINTS, fail_behind_response)]
    handlers: Any = {KeyError: on_key_error, 500: on_error}
    return kind(routes=routes, middleware=list(middleware), exception_handlers=handlers)


def cookie(content: Any, name: str = "session", at: int = NOW, key: str = KEY) -> bytes:
    signer = TimestampSigner(key)
    signer.get_timestamp = lambda: at  # type: ignore[method-assign]
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return f"{name}=".encode() + signer.sign(base64.b64encode(data))


COOKIES = {
    "none": [],
    "another": [(b"cookie", b"a=b")],
    "a session": [(b"cookie", cookie({"n": 4, "name": "ä"}))],
    "among others": [(b"cookie", b"a=b; " + cookie({"n": 5}) + b"; c")],
    "an empty one": [(b"cookie", cookie({}))],
    "of another key": [(b"cookie", cookie({"n": 4}, key="other"))],
    "cut": [(b"cookie", cookie({"n": 4})[:-3])],
    "unsigned": [(b"cookie", b"session=e30=")],
    "expired": [(b"cookie", cookie({"n": 4}, at=NOW - 15 * 24 * 3600))],
    "no json": [(b"cookie", cookie(b"{"))],
    "a list": [(b"cookie", cookie([["k", "v"]]))],
    "a number": [(b"cookie", cookie(5))],
    "two": [(b"cookie", cookie({"n": 1})), (b"cookie", cookie({"n": 2}))],
    "of another name": [(b"cookie", cookie({"n": 3}, "other"))],
}


async def counts(request: Request, call_next: Any) -> Response:
    request.session["before"] = 1
    response: Response = await call_next(request)
    request.session["after"] = len(response.headers.getlist("set-cookie"))
    return response


SESSION = Middleware(SessionMiddleware, secret_key=KEY)
STACKS: dict[str, tuple[Middleware, ...]] = {
    "session": (SESSION,),
    "its options": (
        Middleware(SessionMiddleware, secret_key=KEY, session_cookie="other", max_age=None, path="/x", same_site="none",
                   https_only=True, domain="a.example"),
    ),
    "cors, session, gzip": (Middleware(CORSMiddleware, allow_origins=["*"]), SESSION, Middleware(GZipMiddleware)),
    "two sessions": (SESSION, Middleware(SessionMiddleware, secret_key=KEY, session_cookie="other")),
    "session, dispatch": (SESSION, Middleware(BaseHTTPMiddleware, dispatch=counts)),
    "session, dispatch, session": (
        SESSION, Middleware(BaseHTTPMiddleware, dispatch=counts),
        Middleware(SessionMiddleware, secret_key=KEY, session_cookie="other"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("layers, kind", [*((layers, Starlette) for layers in STACKS), ("session, dispatch", FastAPI)])
def test_sessions_are_the_apps_own(pair: Any, layers: str, kind: type[Starlette]) -> None:
    both = pair(lambda: make(*STACKS[layers], kind=kind))
    assert not both.ours.adapted.obstacle
    names = COOKIES if layers in ("session", "its options") else ("none", "a session", "cut", "of another name")
    for path, name in itertools.product(PATHS, names):
        both.ask("GET", path, [(b"host", b"a.example"), (b"origin", b"https://b.example"), *COOKIES[name]])
    both.ask("HEAD", "/write", COOKIES["a session"])
    both.ask("POST", "/write", COOKIES["a session"])


def test_what_was_written_is_read_back(pair: Any) -> None:
    both = pair(lambda: make(SESSION))
    answer = both.ours.ask("GET", "/write")
    written = dict(answer.headers)["set-cookie"].partition(";")[0].encode()
    for path in ("/read", "/read_in_thread", "/write", "/clear"):
        both.ask("GET", path, [(b"cookie", written)])
    assert json.loads(both.ours.ask("GET", "/read", [(b"cookie", written)]).body) == {"n": 1}


def test_a_cookie_expires_between_requests(pair: Any, clock: list[int]) -> None:
    both = pair(lambda: make(Middleware(SessionMiddleware, secret_key=KEY, max_age=10)))
    for at in (NOW, NOW + 10, NOW + 11, NOW - 1):
        clock[0] = at
        for path in PATHS:
            both.ask("GET", path, COOKIES["a session"])


def test_def_endpoints_stay_on_their_thread_behind_sessions(pair: Any) -> None:
    both = pair(lambda: make(Middleware(CORSMiddleware), SESSION))
    for path, name in itertools.product(("/write_in_thread", "/read_in_thread"), ("none", "a session", "cut")):
        both.ask("GET", path, COOKIES[name])
    assert both.ours.lane.posted == 0


def test_an_exception_behind_the_response_is_told_as_by_the_app(pair: Any) -> None:
    both = pair(lambda: make(SESSION))
    servers = (both.ours, both.theirs)
    answers = [server.ask("GET", "/fail_behind_response", COOKIES["a session"]) for server in servers]
    assert len({(answer.status, tuple(answer.headers), answer.body) for answer in answers}) == 1
    while not all(server.errors for server in servers):  # they come after the answer
        time.sleep(0.01)
    assert [type(error) for error in both.ours.errors] == [type(error) for error in both.theirs.errors] == [RuntimeError]


class OwnSessions(SessionMiddleware):
    pass


def test_a_subclass_of_sessions_is_left_as_it_is(pair: Any) -> None:
    both = pair(lambda: make(Middleware(OwnSessions, secret_key=KEY)))
    assert getattr(both.ours.adapted, "obstacle", None)
    both.ask("GET", "/write", COOKIES["a session"])


def test_a_session_middleware_that_a_tool_replaces_is_called(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    both = pair(lambda: make(SESSION))
    both.ask("GET", "/write", COOKIES["a session"])
    calls: list[str] = []
    original = SessionMiddleware.__call__

    async def replaced(self: Any, scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope["path"])
        await original(self, scope, receive, send)

    monkeypatch.setattr(SessionMiddleware, "__call__", replaced)
    both.ask("GET", "/write", COOKIES["a session"])
    assert calls == ["/write", "/write"]


@pytest.mark.parametrize("path", ["/write", "/write_in_thread", "/write_and_stream"])
def test_attributes_that_change_are_in_force_at_once(pair: Any, path: str) -> None:
    made: list[Any] = []

    def app() -> Starlette:
        made.append(make(SESSION))
        made[-1].middleware_stack = made[-1].build_middleware_stack()
        return made[-1]  # type: ignore[no-any-return]

    both = pair(app)
    both.ask("GET", path, COOKIES["a session"])
    for one in made:
        layer = next(layer for layer in stack.layers(one) or () if type(layer) is SessionMiddleware)
        layer.signer, layer.path = TimestampSigner("other"), "/elsewhere"
    both.ask("GET", path, COOKIES["a session"])
    both.ask("GET", path, COOKIES["of another key"])
    assert b"/elsewhere" in dict_of(both.ours.ask("GET", path))["set-cookie"].encode()


def dict_of(answer: Any) -> dict[str, str]:
    return dict(answer.headers)


# -- authentication


class Backend(AuthenticationBackend):
    """Knows users by a header that says what to do."""

    async def authenticate(self, conn: Any) -> Any:
        what = conn.headers.get("x-user", "")
        if "path_params" in conn.scope or "endpoint" in conn.scope:
            raise LookupError("routing came first")
        if what.startswith("slow"):
            await asyncio.sleep(0)
        if what == "nobody":
            return None
        if what.endswith("refused"):
            raise AuthenticationError("refused ä")
        if what == "broken":
            raise KeyError("broken")
        if what == "odd":
            return AuthCredentials()
        return AuthCredentials(["authenticated", *(["admin"] if "admin" in what else [])]), SimpleUser(what)


async def who(request: Request) -> Response:
    user = request.user
    return JSONResponse([type(user).__name__, user.is_authenticated, user.display_name, request.auth.scopes])


def who_in_thread(request: Request) -> Response:
    return JSONResponse([request.user.display_name, request.auth.scopes, threading.current_thread().name[:0]])


@requires("authenticated")
async def members(request: Request) -> Response:
    return PlainTextResponse("member")


@requires(["authenticated", "admin"], status_code=404)
def admins(request: Request) -> Response:
    return PlainTextResponse("admin")


@requires("admin", redirect="who")
async def sends_away(request: Request) -> Response:
    return PlainTextResponse("admin")


async def streams(request: Request) -> Response:
    return StreamingResponse(iter([request.user.display_name.encode(), b"!"]))


async def fails(request: Request) -> Response:
    raise ValueError(request.user.display_name)


PROTECTED = (who, who_in_thread, members, admins, sends_away, streams, fails)
USERS = ("nobody", "anna", "admin", "slow", "slow admin", "refused", "slow refused", "broken", "odd")


def to_login(conn: Any, exc: Exception) -> Response:
    return RedirectResponse(f"/login?why={len(str(exc))}")


def streamed_refusal(conn: Any, exc: Exception) -> Response:
    return StreamingResponse(iter([str(exc).encode()]), 401)


def failing_refusal(conn: Any, exc: Exception) -> Response:
    raise RuntimeError("no answer")


def secured(*middleware: Middleware, kind: type[Starlette] = Starlette) -> Starlette:
    routes = [Route(f"/{getattr(endpoint, '__name__', '')}", endpoint) for endpoint in PROTECTED]
    routes.append(Route("/of/{name}", who))
    return kind(routes=routes, middleware=list(middleware))


def backend(on_error: Callable[..., Response] | None = None) -> Middleware:
    return Middleware(AuthenticationMiddleware, backend=Backend(), on_error=on_error)


async def stamps(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    response.headers["x-user"] = request.user.display_name if "user" in request.scope else "unknown"
    return response


SECURED: dict[str, tuple[Middleware, ...]] = {
    "alone": (backend(),),
    "to a log-in": (backend(to_login),),
    "a stream": (backend(streamed_refusal),),
    "an error of the handler": (backend(failing_refusal),),
    "cors, gzip around": (
        Middleware(CORSMiddleware, allow_origins=["*"]),
        Middleware(GZipMiddleware, minimum_size=5),
        backend(),
    ),
    "gzip inside": (backend(), Middleware(GZipMiddleware, minimum_size=5)),
    "session, authentication": (SESSION, backend()),
    "dispatch around": (Middleware(BaseHTTPMiddleware, dispatch=stamps), backend()),
    "dispatch inside": (backend(), Middleware(BaseHTTPMiddleware, dispatch=stamps)),
}


@pytest.mark.parametrize("layers, kind", [*((layers, Starlette) for layers in SECURED), ("session, authentication", FastAPI)])
def test_users_are_the_apps_own(pair: Any, layers: str, kind: type[Starlette]) -> None:
    both = pair(lambda: secured(*SECURED[layers], kind=kind))
    assert not both.ours.adapted.obstacle
    paths = [f"/{getattr(endpoint, '__name__', '')}" for endpoint in PROTECTED]
    for path, user in itertools.product([*paths, "/of/x", "/nowhere"], USERS):
        headers = [(b"host", b"a.example"), (b"origin", b"https://b.example"), (b"x-user", user.encode())]
        both.ask("GET", path, [*headers, (b"accept-encoding", b"gzip")])
    both.ask("HEAD", "/who", [(b"x-user", b"refused")])


class OwnAuthentication(AuthenticationMiddleware):
    pass


def test_a_subclass_of_authentication_is_left_as_it_is(pair: Any) -> None:
    both: Pair = pair(lambda: secured(Middleware(OwnAuthentication, backend=Backend())))
    assert getattr(both.ours.adapted, "obstacle", None)
    both.ask("GET", "/who", [(b"x-user", b"anna")])


class Everybody(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        return AuthCredentials(["authenticated"]), SimpleUser("everybody")


def test_a_backend_that_is_replaced_is_asked_at_once(pair: Any) -> None:
    made: list[Any] = []

    def app() -> Starlette:
        made.append(secured(backend()))
        made[-1].middleware_stack = made[-1].build_middleware_stack()
        return made[-1]  # type: ignore[no-any-return]

    both = pair(app)
    both.ask("GET", "/who", [(b"x-user", b"refused")])
    for one in made:
        for layer in stack.layers(one) or ():
            if type(layer) is AuthenticationMiddleware:
                layer.backend = Everybody()
    for _ in range(2):
        both.ask("GET", "/who", [(b"x-user", b"refused")])
    assert b"everybody" in both.ours.ask("GET", "/who", [(b"x-user", b"refused")]).body


def test_an_authentication_middleware_that_a_tool_replaces_is_called(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    both = pair(lambda: secured(backend()))
    both.ask("GET", "/who", [(b"x-user", b"anna")])
    calls: list[str] = []
    original = AuthenticationMiddleware.__call__

    async def replaced(self: Any, scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope["path"])
        await original(self, scope, receive, send)

    monkeypatch.setattr(AuthenticationMiddleware, "__call__", replaced)
    both.ask("GET", "/who", [(b"x-user", b"anna")])
    assert calls == ["/who", "/who"]
