"""Applications as they are, each in an environment of its own, beside uvicorn: the same answers, which lanes, how fast.

    python -m compat_tests.applications [NAME]...

Prints one row each. What has no wheel for this interpreter, of its own or of what it needs, is said and left out.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from benchmarks.servers import free_port
from compat_tests.walks import WALKS, Visitor

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "freelane" / "applications"
# Header values that no two servers have alike, and what differs from one answer of a server to the next.
OWN = {"date", "server", "connection", "set-cookie", "etag"}
CHANGING = re.compile(rb"[0-9a-f]{32,}|csrf\w*\W+\w+|\d+\.\d{3,}|[\d.]+ ?ms|127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class Application:
    """``source`` is the module ``site_app`` with an ``app``; the first of ``requests`` is the commonest."""

    needs: tuple[str, ...]
    source: str
    requests: tuple[tuple[str, str, bytes, dict[str, str]], ...]
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def get(*paths: str) -> tuple[tuple[str, str, bytes, dict[str, str]], ...]:
    return tuple(("GET", path, b"", {}) for path in paths)


def post(path: str, value: object, **headers: str) -> tuple[str, str, bytes, dict[str, str]]:
    return "POST", path, json.dumps(value).encode(), {"content-type": "application/json", **headers}


MCP = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}  # fmt: skip

APPLICATIONS = {
    "datasette": Application(("datasette", "setuptools<81"), """
from datasette.app import Datasette
import sqlite3
sqlite3.connect("d.db").executescript("create table if not exists t (a, b); delete from t; insert into t values (1, 'x'), (2, 'y');")
app = Datasette(["d.db"]).app()
""", get("/d/t.json", "/", "/d", "/d/t", "/-/versions.json", "/nothing")),
    "litestar": Application(("litestar[cryptography]",), """
from litestar import Litestar, Request, WebSocket, get, post, websocket
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.response import ServerSentEvent, Stream
@get("/")
async def index() -> dict[str, str]: return {"hello": "world"}
@get("/items/{n:int}", sync_to_thread=True)
def item(n: int, q: str | None = None) -> dict: return {"n": n, "q": q}
@post("/echo")
async def echo(data: dict) -> dict: return data
@post("/upload", status_code=200)
async def upload(request: Request) -> dict:
    form = await request.form()
    return {name: [file.filename, file.content_type, len(await file.read())] for name, file in form.items()}
@post("/login", status_code=204)
async def login(request: Request) -> None: request.set_session(await request.json())
@get("/me")
async def me(request: Request) -> dict: return request.session
@get("/stream")
async def stream() -> Stream:
    async def parts():
        for number in range(50): yield f"chunk {number}; " * 100
    return Stream(parts())
@get("/events")
async def events() -> ServerSentEvent:
    async def parts():
        for number in range(5): yield {"data": str(number), "event": "n"}
    return ServerSentEvent(parts())
@websocket("/ws")
async def talk(socket: WebSocket) -> None:
    await socket.accept()
    while (text := await socket.receive_text()) != "bye": await socket.send_text("said " + text)
    await socket.close(4001)
app = Litestar([index, item, echo, upload, login, me, stream, events, talk], middleware=[CookieBackendConfig(secret=b"s" * 16).middleware])
""", (*get("/", "/items/3?q=a", "/items/x", "/nothing", "/schema/openapi.json"), post("/echo", {"a": 1}))),
    "django": Application(("django",), """
import django
from django.conf import settings
settings.configure(DEBUG=False, SECRET_KEY="x" * 50, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
                   SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
                   MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware"])
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
def index(request): return JsonResponse({"hello": "world"})
async def later(request): return HttpResponse("later")
def echo(request): return HttpResponse(request.body)
def upload(request): return JsonResponse({name: [file.name, file.content_type, len(file.read())] for name, file in request.FILES.items()})
def login(request):
    request.session["user"] = request.POST["user"]
    return HttpResponse(status=204)
def me(request): return HttpResponse(request.session["user"])
async def stream(request):
    async def parts():
        for number in range(50): yield f"chunk {number}; " * 100
    return StreamingHttpResponse(parts())
names = {"": index, "later": later, "echo": echo, "upload": upload, "login": login, "me": me, "stream": stream}
urlpatterns = [path(name, view) for name, view in names.items()]
from django.core.asgi import get_asgi_application
app = get_asgi_application()
""", (*get("/", "/later", "/nothing"), post("/echo", [1]))),
    "quart": Application(("quart",), """
from quart import Quart, request, session, websocket
app = Quart(__name__)
app.secret_key = "s" * 40
@app.post("/upload")
async def upload():
    return {name: [file.filename, file.content_type, len(file.read())] for name, file in (await request.files).items()}
@app.post("/login")
async def login():
    session["user"] = (await request.form)["user"]
    return "", 204
@app.get("/me")
async def me(): return session["user"]
@app.get("/stream")
async def stream():
    async def parts():
        for number in range(50): yield f"chunk {number}; " * 100
    return parts()
@app.websocket("/ws")
async def talk():
    while (text := await websocket.receive()) != "bye": await websocket.send("said " + text)
    await websocket.close(4001)
@app.get("/")
async def index(): return {"hello": "world"}
@app.get("/sync")
def plain(): return "sync"
@app.post("/echo")
async def echo(): return await request.get_json()
""", (*get("/", "/sync", "/nothing"), post("/echo", {"a": 1}))),
    "mcp": Application(("mcp<2",), """
from mcp.server.fastmcp import FastMCP
server = FastMCP("t", stateless_http=True, json_response=True)
@server.tool()
def add(a: int, b: int) -> int: return a + b
app = server.streamable_http_app()
""", (post("/mcp", MCP, accept="application/json, text/event-stream"),
      post("/mcp", {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, accept="application/json, text/event-stream"),
      *get("/nothing"))),
    "socketio": Application(("python-socketio",), """
import socketio
async def other(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"other"})
server = socketio.AsyncServer(async_mode="asgi")
@server.event
async def shout(sid, text):
    await server.emit("shouted", text.upper(), to=sid)
    return "done"
app = socketio.ASGIApp(server, other)
""", get("/other", "/socket.io/?EIO=3&transport=polling")),
    "strawberry": Application(("strawberry-graphql[fastapi]",), """
from typing import AsyncGenerator
import strawberry
from fastapi import FastAPI
from strawberry.fastapi import GraphQLRouter
@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str: return f"hello {name}"
@strawberry.type
class Mutation:
    @strawberry.mutation
    def name(self, text: str) -> str: return text
@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncGenerator[int, None]:
        for number in range(to): yield number
app = FastAPI()
app.include_router(GraphQLRouter(strawberry.Schema(Query, Mutation, Subscription)), prefix="/graphql")
""", (post("/graphql", {"query": "{ hello }"}), post("/graphql", {"query": "{ nope }"}), *get("/graphql", "/nothing"))),
    "ariadne": Application(("ariadne",), """
from ariadne import QueryType, SubscriptionType, make_executable_schema
from ariadne.asgi import GraphQL
from ariadne.asgi.handlers import GraphQLWSHandler
query = QueryType()
query.set_field("hello", lambda *_: "world")
told = SubscriptionType()
@told.source("count")
async def count(*_):
    for number in range(3): yield number
told.set_field("count", lambda number, info: number)
schema = "type Query { hello: String! } type Subscription { count: Int! }"
app = GraphQL(make_executable_schema(schema, query, told), websocket_handler=GraphQLWSHandler())
""", (post("/", {"query": "{ hello }"}), *get("/"))),
    "fastapi-users": Application(("fastapi-users[sqlalchemy]", "aiosqlite"), """
import contextlib, uuid
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import StaticPool
class Base(DeclarativeBase): pass
class User(SQLAlchemyBaseUserTableUUID, Base): pass
engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
make = async_sessionmaker(engine, expire_on_commit=False)
async def session():
    async with make() as found: yield found
async def database(session=Depends(session)): yield SQLAlchemyUserDatabase(session, User)
class Manager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = verification_token_secret = "s" * 40
async def manager(database=Depends(database)): yield Manager(database)
backend = AuthenticationBackend("jwt", BearerTransport("login"), lambda: JWTStrategy("s" * 40, 3600))
users = FastAPIUsers[User, uuid.UUID](manager, [backend])
@contextlib.asynccontextmanager
async def lifespan(app):
    async with engine.begin() as connection: await connection.run_sync(Base.metadata.create_all)
    yield
class Seen(schemas.BaseUser[uuid.UUID]): pass
class New(schemas.BaseUserCreate): pass
app = FastAPI(lifespan=lifespan)
app.include_router(users.get_register_router(Seen, New))
app.include_router(users.get_auth_router(backend))
@app.get("/me")
def me(user=Depends(users.current_user())): return user.email
@app.get("/")
def index(): return {"hello": "world"}
""", get("/", "/me", "/nothing")),
    "sqladmin": Application(("sqladmin", "greenlet", "itsdangerous"), """
from sqladmin import Admin, ModelView
from sqladmin.authentication import AuthenticationBackend
from sqlalchemy import Column, Integer, String, create_engine
from sqlalchemy.orm import declarative_base
from starlette.applications import Starlette
Base = declarative_base()
engine = create_engine("sqlite:///a.db", connect_args={"check_same_thread": False})
class Thing(Base):
    __tablename__ = "things"
    id, name = Column(Integer, primary_key=True), Column(String)
Base.metadata.create_all(engine)
app = Starlette()
class ThingAdmin(ModelView, model=Thing): column_list = [Thing.id, Thing.name]
class Door(AuthenticationBackend):
    async def login(self, request):
        right = (await request.form())["password"] == "right"
        if right: request.session["user"] = "ann"
        return right
    async def logout(self, request): request.session.clear(); return True
    async def authenticate(self, request): return "user" in request.session
Admin(app, engine, authentication_backend=Door("s" * 40)).add_view(ThingAdmin)
""", get("/admin/thing/list", "/admin/", "/admin/thing/create", "/admin/nothing")),
    "starlette-admin": Application(("starlette-admin", "sqlalchemy", "greenlet"), """
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette_admin.contrib.sqla import Admin, ModelView
class Base(DeclarativeBase): pass
class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
engine = create_engine("sqlite:///b.db", connect_args={"check_same_thread": False})
Base.metadata.create_all(engine)
app = Starlette()
admin = Admin(engine)
admin.add_view(ModelView(Thing))
admin.mount_to(app)
""", get("/admin/thing/list", "/admin/", "/admin/nothing")),
    "gradio": Application(("gradio", "setuptools<81", "jinja2"), """
import gradio
from fastapi import FastAPI
with gradio.Blocks() as blocks:
    name = gradio.Textbox()
    name.change(lambda text: text.upper(), name, gradio.Textbox())
app = gradio.mount_gradio_app(FastAPI(), blocks, path="/g")
""", get("/g/config", "/g/", "/nothing"), environment={"GRADIO_ANALYTICS_ENABLED": "False"}),
}  # fmt: skip


def environment(name: str, application: Application) -> Path | None:
    """The python of the application's own environment, with freelane and uvicorn; None where it cannot be had."""
    directory = CACHE / f"{name}-{'+'.join(application.needs)}-{sys.implementation.cache_tag}{sys.abiflags}"
    python = directory / "bin" / "python"
    if not (directory / "ready").exists():
        shutil.rmtree(directory, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
        uv = shutil.which("uv")
        tool = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
        wanted = ["--only-binary=:all:", "granian>=2.7,<3", "uvicorn", "websockets", *application.needs]
        done = subprocess.run([*tool, "-q", *wanted], capture_output=True, text=True)
        if done.returncode:
            print(f"{name}: not on this interpreter: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        # freelane as it stands here, compiled for this interpreter.
        packages = next(directory.glob("lib/python*/site-packages"))
        for file in Path(sysconfig.get_path("purelib")).glob("__editable__*freelane*"):
            shutil.copy(file, packages)
        (directory / "ready").touch()
    return python


class Serving:
    """One server of an application, from its first answer to its end."""

    def __init__(self, command: list[str], directory: Path, application: Application) -> None:
        self.port = free_port()
        where = {"PYTHONPATH": str(directory), **application.environment}
        with (directory / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *application.options], cwd=directory, stdout=log, stderr=log,
                env={**os.environ, **where},
            )  # fmt: skip
        while self.ask("GET", "/", b"", {}) is None:
            if self.process.poll() is not None:
                raise RuntimeError((directory / "log").read_text()[-2000:])
            time.sleep(0.05)

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[object, ...] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            kept = sorted((key.lower(), CHANGING.sub(b"", value.encode())) for key, value in answer.getheaders()
                          if key.lower() not in OWN | {"content-length"})  # fmt: skip
            return answer.status, kept, CHANGING.sub(b"", answer.read())
        except OSError:
            return None
        finally:
            connection.close()

    def rate(self, request: tuple[str, str, bytes, dict[str, str]], seconds: float = 3) -> float:
        """Requests a second from four clients that keep their connections."""
        counts, end = [0] * 4, time.monotonic() + seconds

        def client(index: int) -> None:
            method, path, body, headers = request
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            while time.monotonic() < end:
                connection.request(method, path, body or None, headers)
                connection.getresponse().read()
                counts[index] += 1

        clients = [threading.Thread(target=client, args=(index,)) for index in range(4)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        return sum(counts) / seconds

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def lanes(freelane: list[str], directory: Path, application: Application) -> str:
    """How many routes are in each lane, as ``freelane check`` says."""
    done = subprocess.run([*freelane, "check", "site_app:app", "--json"], cwd=directory, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(directory), **application.environment})  # fmt: skip
    try:
        routes = json.loads(done.stdout[done.stdout.index("{") :])["routes"]
    except ValueError:
        return "?"
    found = Counter(f"{route['lane']}{', compiled' if route['compiled'] else ''}" for route in routes)
    return "; ".join(f"{count} {lane}" for lane, count in sorted(found.items()))


def row(name: str) -> str | None:
    application = APPLICATIONS[name]
    python = environment(name, application)
    if python is None:
        return None
    freelane = [str(python), "-m", "freelane.cli.main"]
    answers, walked, rates = [], [], []
    for command in ([str(python), "-m", "uvicorn", "site_app:app"], [*freelane, "run", "site_app:app"]):
        # A directory each: what one of them stored is none of the other's.
        with tempfile.TemporaryDirectory() as text:
            directory = Path(text)
            (directory / "site_app.py").write_text(application.source)
            serving = Serving(command, directory, application)
            try:
                answers.append([serving.ask(*request) for request in application.requests])
                visitor = Visitor(serving.port)
                if name in WALKS:
                    WALKS[name](visitor)
                walked.append(visitor.seen)
                rates.append(serving.rate(application.requests[0]))
            finally:
                serving.stop()
            if len(walked) == 2:
                where = lanes(freelane, directory, application)
    differing = [request[1] for request, one, other in zip(application.requests, *answers) if one != other]
    differing += [" ".join(map(str, one[:2])) for one, other in zip_longest(*walked, fillvalue=("less",)) if one != other]
    for one, other in zip_longest(*walked):
        if one != other:
            print(f"{name}:\n  uvicorn  {one}\n  freelane {other}", file=sys.stderr)
    count = len(application.requests) + len(walked[0])
    works = f"{count} requests the same" if not differing else f"differs: {', '.join(differing)}"
    return f"| {name} | {works} | {where} | {rates[1] / rates[0]:.1f} |"


def main(names: list[str]) -> int:
    print("| application | beside uvicorn | routes by lane | ratio of its commonest request |\n|---|---|---|---|", flush=True)
    failed = 0
    for name in names or list(APPLICATIONS):
        try:
            found = row(name)
        except (RuntimeError, OSError) as exc:
            found = f"| {name} | does not start: {str(exc).strip().splitlines()[-1]} | | |"
        if found is not None:
            failed += "same" not in found
            print(found, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
