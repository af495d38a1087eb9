"""Routes are moved to the gil lane by themselves only where they share nothing that somebody changes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from compat_tests.gil_servers import ask, pids
from compat_tests.servers import COMMAND, running
from freelane.gil_lane.gil_watch import free_threaded

pytestmark = [
    pytest.mark.thread_unsafe(reason="starts processes"),
    pytest.mark.skipif(not free_threaded(), reason="the GIL is on in any case"),
]

HEAD = """
import asyncio, collections, contextlib, contextvars, dataclasses, functools, heapq, itertools, json, logging, os, queue
import random, re, threading, uuid
import needsgil
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
options = {}
"""
APP = """
def needs(request):
    needsgil.answer()
    return JSONResponse(first(request))
def plain(request):
    return JSONResponse(second(request))
app = Starlette(routes=[Route("/needs", needs), Route("/plain", plain)], **options)
"""
# What is made once, how it is changed, how it is read; and what the reason must name.
SHARED = {
    "a number in a module": ("n = 0", "global n\nn += 1", "n", "shop.n"),
    "a number in another module": ("import keep", "keep.bump()", "keep.n", "keep.n"),
    "a number set from outside": ("import keep", "keep.n = 2", "keep.n", "keep"),
    "a name that comes later": ("", "global late\nlate = 1", "globals().get('late')", "shop"),
    "a dict": ("d = {}", "d['a'] = d.get('a', 0) + 1", "d.get('a', 0)", "shop.d"),
    "a dict by setdefault": ("d = {}", "d.setdefault('a', []).append(1)", "len(d.get('a', []))", "shop.d"),
    "a dict by del": ("d = {'a': 1}", "d.pop('a', None)", "len(d)", "shop.d"),
    "a dict by another name": ("d = {}", "x = d\nx['a'] = 1", "len(d)", "shop.d"),
    "a dict by a function's hand": ("d = {}\ndef put(x): x['a'] = 1", "put(d)", "len(d)", "shop.d"),
    "a dict that a function gives": ("d = {}\ndef get(): return d", "get().update(a=1)", "len(d)", "shop.d"),
    "a dict inside a dict": ("d = {'in': {}}", "d['in']['a'] = 1", "len(d['in'])", "changed by"),
    "a dict in a loop": ("d = {'in': {}}", "for x in d.values(): x['a'] = 1", "len(d['in'])", "changed by"),
    "a list": ("l = []", "l.append(1)", "len(l)", "shop.l"),
    "a list by +=": ("l = []", "x = l\nx += [1]", "len(l)", "shop.l"),
    "a list by a method kept apart": ("l = []\npush = l.append", "push(1)", "len(l)", "changed by"),
    "a heap": ("l = []", "heapq.heappush(l, 1)", "len(l)", "shop.l"),
    "a set": ("s = set()", "s.add(1)", "len(s)", "shop.s"),
    "a deque": ("q = collections.deque(maxlen=9)", "q.append(1)", "len(q)", "shop.q"),
    "a counter": ("c = collections.Counter()", "c['a'] += 1", "c['a']", "shop.c"),
    "a defaultdict": ("c = collections.defaultdict(int)", "c['a'] += 1", "c['a']", "shop.c"),
    "an object's attribute": ("class C: n = 0\no = C()", "o.n += 1", "o.n", "shop.o"),
    "an object's method": ("class C:\n    n = 0\n    def up(self): self.n += 1\no = C()", "o.up()", "o.n", "shop.o"),
    "an object's list": (
        "class C:\n    def __init__(self): self.l = []\n    def up(self): self.l.append(1)\no = C()", "o.up()", "len(o.l)", "changed by shop.C.up",
    ),
    "an object by setattr": ("class C: n = 0\no = C()", "setattr(o, 'n', o.n + 1)", "o.n", "shop.o"),
    "a dataclass": ("@dataclasses.dataclass\nclass C:\n    n: int = 0\no = C()", "o.n += 1", "o.n", "shop.o"),
    "an object with slots": (
        "class C:\n    __slots__ = ('l',)\n    def __init__(self): self.l = []\no = C()", "o.l.append(1)", "len(o.l)", "changed by",
    ),
    "a model": ("class M(BaseModel): n: int = 0\no = M()", "o.n += 1", "o.n", "shop.o"),
    "a class's attribute": ("class C: n = 0", "C.n += 1", "C.n", "shop.C"),
    "a class's attribute by cls": (
        "class C:\n    n = 0\n    @classmethod\n    def up(cls): cls.n += 1", "C.up()", "C.n", "shop.C",
    ),
    "a class's list": ("class C: l = []", "C.l.append(1)", "len(C.l)", "C.l"),
    "a function's attribute": ("def f(): pass\nf.n = 0", "f.n += 1", "f.n", "shop.f"),
    "a default argument": ("def f(x, l=[]):\n    if x: l.append(x)\n    return len(l)", "f(1)", "f(0)", "changed by"),
    "an enclosing function's number": (
        "def make():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n    def get(): return n\n    return up, get\nup, get = make()",
        "up()", "get()", "n of make",
    ),
    "an enclosing function's dict": (
        "def make():\n    d = {}\n    def up(): d['a'] = 1\n    def get(): return len(d)\n    return up, get\nup, get = make()",
        "up()", "get()", "changed by",
    ),
    "an object of another module": ("from keep import service", "service.up()", "service.n", "service"),
    "an object made when asked for": (
        "class C:\n    def __init__(self): self.n = 0\n    def up(self): self.n += 1\n@functools.lru_cache\ndef get(): return C()",
        "get().up()", "get().n", "what shop.get keeps",
    ),
    "a dict made when asked for": ("@functools.cache\ndef get(): return {}", "get()['a'] = 1", "len(get())", "what shop.get keeps"),
    "a singleton": (
        "class C:\n    one = None\n    def __new__(cls):\n        if cls.one is None: cls.one = super().__new__(cls); cls.one.n = 0\n"
        "        return cls.one",
        "C().n += 1", "C().n", "shop.C",
    ),
    "app.state from the start": ("state = {'n': 0}", "request.app.state.n = getattr(request.app.state, 'n', 0) + 1",
                                 "getattr(request.app.state, 'n', 0)", "app.state.n"),
    "app.state by its app": ("", "app.state.n = 1", "getattr(request.app.state, 'n', 0)", "app.state.n"),
    "what the lifespan made": (
        "class C: pass\n@contextlib.asynccontextmanager\nasync def lifespan(app): yield {'made': C()}\noptions['lifespan'] = lifespan",
        "request.state.made.n = 1", "getattr(request.state.made, 'n', 0)", "request.state.made",
    ),
    "what the lifespan put": (
        "models = {}\n@contextlib.asynccontextmanager\nasync def lifespan(app):\n    models['n'] = 1\n    yield\noptions['lifespan'] = lifespan",
        "pass", "len(models)", "shop.models",
    ),
    "what a context variable holds": ("v = contextvars.ContextVar('v', default=[])", "v.get().append(1)", "len(v.get())", "changed by"),
    "a database": ("import sqlite3\ndb = sqlite3.connect(':memory:', check_same_thread=False)", "db.execute('select 1')",
                   "db.total_changes", "shop.db"),
    "a lock": ("k = asyncio.Lock()", "k.locked()", "k.locked()", "shop.k"),
    "a lock of threads": ("k = threading.Lock()", "k.acquire(False)", "k.locked()", "shop.k"),
    "a semaphore": ("k = asyncio.Semaphore(1)", "k.locked()", "k.locked()", "shop.k"),
    "an event": ("e = threading.Event()", "e.set()", "e.is_set()", "shop.e"),
    "a queue": ("q = queue.SimpleQueue()", "q.put(1)", "q.qsize()", "shop.q"),
    "a generator": ("g = itertools.count()", "next(g)", "next(g)", "shop.g"),
    "the environment": ("", "os.environ['SHOP_N'] = '1'", "os.environ.get('SHOP_N')", "changed by"),
    "what a middleware counts": (
        "class Count:\n    def __init__(self, app): self.app, self.n = app, 0\n"
        "    async def __call__(self, scope, receive, send):\n        self.n += 1\n        scope['n'] = self.n\n"
        "        await self.app(scope, receive, send)\noptions['middleware'] = [Middleware(Count)]",
        "pass", "request.scope['n']", "objects of shop.Count",
    ),
    "what differs from process to process": ("token = uuid.uuid4().hex", "pass", "token", "shop.token"),
    "code of a text": ("n = 0", "exec('global n; n += 1')", "n", "calls exec"),
    "work that the lifespan starts": (
        "@contextlib.asynccontextmanager\nasync def lifespan(app):\n    t = asyncio.create_task(asyncio.sleep(0))\n    yield\n"
        "options['lifespan'] = lifespan",
        "pass", "0", "work that the lifespan starts",
    ),
}  # fmt: skip
# What both sides may use, each as they like.
APART = {
    "nothing": ("", "1", "2"),
    "constants": ("A = 1\nB = 'b'\nC = (1, 'x')\nD = frozenset({1})", "[A, B]", "[C[0], 1 in D]"),
    "a dict that is only read": ("T = {'a': 1, 'b': [1]}", "T['a']", "[T.get('b'), len(T), sorted(T)]"),
    "a list that is only read": ("L = [1, 2]", "sum(L)", "[x + 1 for x in L]"),
    "functions": ("def f(x): return x + 1\ndef g(x): return f(x) * 2", "g(1)", "f(1)"),
    "what each call makes": (
        "def f(n):\n    out, seen = [], {}\n    for i in range(n):\n        out.append(i)\n        seen[i] = i\n        seen.update({i: 2})\n"
        "    return out\nT = {'a': [1]}\nL = [1]",
        "[f(2), T['a'], L]", "[f(3), T['a'], L]",
    ),
    "settings": ("class S(BaseModel):\n    name: str = 'n'\n    items: list[int] = [1]\nsettings = S()", "settings.name",
                 "settings.items"),
    "settings that are asked for": ("class S(BaseModel):\n    name: str = 'n'\n@functools.lru_cache\ndef get(): return S()",
                                    "get().name", "get().name"),
    "an object that is only read": ("class C:\n    def __init__(self, n):\n        self.n, self.l = n, []\n        self.l.append(n)\n"
                                    "    def twice(self): return self.n * 2\no = C(2)", "o.twice()", "o.n + o.l[0]"),
    "a class and objects of each call": (
        "class C:\n    def __init__(self): self.l = []\n    def up(self):\n        self.l.append(1)\n        return len(self.l)",
        "C().up()", "C().up()",
    ),
    "a pattern and a logger": ("P = re.compile('a')\nlog = logging.getLogger('x')", "bool(P.match('a'))", "log.info('x')"),
    "a cache": ("@functools.lru_cache\ndef f(n): return n * 2", "f(2)", "f(3)"),
    "the body of a request": ("T = {'a': 1}\ndef f(request):\n    data = json.loads('{}')\n    data['x'] = 1\n    return data",
                              "[f(request), T['a']]", "[f(request), T['a']]"),
    "the state of a request": (
        "class Set:\n    def __init__(self, app): self.app = app\n    async def __call__(self, scope, receive, send):\n"
        "        scope.setdefault('state', {})['user'] = 'u'\n        await self.app(scope, receive, send)\n"
        "options['middleware'] = [Middleware(Set)]",
        "request.state.user", "request.state.user",
    ),
    "a dict of one side": ("d = {}", "d.setdefault('n', 1)", "1"),
    "a lifespan that does little": (
        "@contextlib.asynccontextmanager\nasync def lifespan(app):\n    print('up')\n    yield\noptions['lifespan'] = lifespan", "1", "2",
    ),
}  # fmt: skip
KEEP = """
n = 0
def bump():
    global n
    n += 1
class Service:
    def __init__(self): self.n = 0
    def up(self): self.n += 1
service = Service()
"""
# Looks at one app after the other, each as if it were alone.
LOOK = """
import json, sys
from pathlib import Path
from freelane.gil_lane.detect.report import Inspection
from freelane.loader import load
from freelane.settings import Settings
answers = {}
for directory in sorted(Path(sys.argv[1]).iterdir(), key=lambda each: int(each.name)):
    sys.path.insert(0, str(directory))
    inspection = Inspection(Settings())
    report = inspection.report(load("shop:app", app_dir=str(directory)))
    answers[directory.name] = [[r.path for r in report.routes if r.chain or r.doubts], report.together]
    sys.path.remove(str(directory))
    for name in ("shop", "keep"):
        sys.modules.pop(name, None)
print("\\n" + json.dumps(answers))
"""


def function(name: str, body: str, value: str) -> str:
    return f"def {name}(request):\n{textwrap.indent(body, '    ')}\n    return {value}\n"


def programs() -> dict[str, str]:
    found = {}
    for name, (once, change, read, _) in SHARED.items():
        changes, reads = function("{}", change, read), function("{}", "pass", read)
        found[f"{name}, changed there"] = HEAD + once + "\n" + changes.format("first") + reads.format("second") + APP
        found[f"{name}, changed here"] = HEAD + once + "\n" + reads.format("first") + changes.format("second") + APP
    for name, (once, first, second) in APART.items():
        found[name] = HEAD + once + "\n" + function("first", "pass", first) + function("second", "pass", second) + APP
    return found


@pytest.fixture(scope="module")
def looks(extension: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[str], list[str]]]:
    """Of every app: the routes that need the GIL, and why they are not moved."""
    top = tmp_path_factory.mktemp("apps")
    library = tmp_path_factory.mktemp("library")
    for file in extension.glob("needsgil.*.so"):
        shutil.copy(file, library)
    names = list(programs())
    for index, text in enumerate(programs().values()):
        (directory := top / str(index)).mkdir()
        (directory / "shop.py").write_text(text)
        (directory / "keep.py").write_text(KEEP)
    code = f"import sys; sys.path.insert(0, {str(library)!r}); import needsgil\n{LOOK}"
    done = subprocess.run([sys.executable, "-X", "gil=0", "-c", code, str(top)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    return {name: tuple(answers[str(index)]) for index, name in enumerate(names)}


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("side", ["there", "here"])
def test_what_is_shared_and_changed_keeps_the_app_together(
    looks: dict[str, tuple[list[str], list[str]]], name: str, side: str
) -> None:
    moved, together = looks[f"{name}, changed {side}"]
    assert "/needs" in moved
    assert SHARED[name][3] in "; ".join(together)


@pytest.mark.parametrize("name", APART)
def test_what_nobody_changes_may_be_used_by_both(looks: dict[str, tuple[list[str], list[str]]], name: str) -> None:
    assert looks[name] == (["/needs"], [])


# Every way to share of which each request's answer can be told, in one app: each has a route that changes and one that reads.
ALL = """
def pair(name, change, read):
    def there(request):
        needsgil.answer()
        change(request)
        return JSONResponse("done")
    def here(request): return JSONResponse(read(request))
    return [Route(f"/{name}/there", there), Route(f"/{name}/here", here)]
class C:
    n = 0
    def __init__(self): self.l = []
def made():
    n = 0
    def up(request):
        nonlocal n
        n += 1
    return up, lambda request: n
def up_n(request):
    global n
    n += 1
n, d, o, up_and_get = 0, {}, C(), made()
def grow(x, kept=[]):
    if x: kept.append(1)
    return len(kept)
@functools.cache
def get(): return C()
def set_state(request): request.app.state.n = 1
def set_class(request): C.n = 1
q = queue.SimpleQueue()
async def late(request): return JSONResponse(request.app.state.n)
app = Starlette(routes=[
    *pair("number", up_n, lambda request: n),
    *pair("dict", lambda request: d.update(a=1), lambda request: len(d)),
    *pair("object", lambda request: o.l.append(1), lambda request: len(o.l)),
    *pair("closure", *up_and_get),
    *pair("class", set_class, lambda request: C.n),
    *pair("default", lambda request: grow(1), lambda request: grow(0)),
    *pair("singleton", lambda request: get().l.append(1), lambda request: len(get().l)),
    *pair("state", set_state, lambda request: getattr(request.app.state, "n", 0)),
    *pair("queue", lambda request: q.put(1), lambda request: q.qsize()),
])
"""
WAYS = ["number", "dict", "object", "closure", "class", "default", "singleton", "state", "queue"]


@pytest.fixture
def directory(extension: Path, tmp_path: Path) -> Path:
    for file in extension.glob("needsgil.*.so"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_an_app_that_shares_is_served_whole_with_the_gil_on(directory: Path) -> None:
    (directory / "shop.py").write_text(HEAD + ALL)
    with running(directory, "shop:app", "--show-lanes") as server:
        for way in WAYS:
            assert ask(server, f"/{way}/here").json == 0
            assert ask(server, f"/{way}/there").json == "done"
            answer = ask(server, f"/{way}/here")
            assert (way, answer.json, answer.header("freelane-gil")) == (way, 1, "on")
        assert pids(server) == []
        line = next(line for line in server.output().splitlines() if line.startswith("freelane "))
        assert "| GIL ON: needsgil needs it, and routes share shop.n (changed by shop.up_n)" in line
        assert "mark the routes that belong together with @freelane.gil" in server.output()
    check = subprocess.run([COMMAND[0], "check", "shop:app"], cwd=directory, capture_output=True, text=True, timeout=600)
    assert check.returncode == 1
    assert "shop.n (changed by shop.up_n)" in check.stdout
    assert "is in the gil lane" not in check.stdout
    rows = [line for line in check.stdout.splitlines() if line.startswith("GET")]
    assert rows and all(", GIL on " in row for row in rows), check.stdout


def test_worker_processes_keep_it_together_too(directory: Path) -> None:
    (directory / "shop.py").write_text(HEAD + ALL)
    with running(directory, "shop:app", "--workers", "2", "--show-lanes") as server:
        assert ask(server, "/dict/there").header("freelane-gil") == "on"
        assert "| GIL ON: needsgil needs it" in server.output()


def test_a_route_that_is_marked_moves_all_the_same(directory: Path) -> None:
    text = HEAD + "import freelane\nd = {}\n@freelane.gil\n" + function("marked", "pass", "JSONResponse(os.getpid())")
    text += function("first", "d['a'] = 1", "len(d)") + function("second", "pass", "len(d)")
    (directory / "shop.py").write_text(text + APP.replace("routes=[", 'routes=[Route("/marked", marked), '))
    with running(directory, "shop:app", "--show-lanes") as server:
        assert ask(server, "/marked").json in pids(server)
        assert [ask(server, path).json for path in ("/needs", "/plain")] == [1, 1]
        assert ask(server, "/needs").header("freelane-gil") == "on"


def test_whoever_keeps_the_gil_off_is_obeyed_and_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "shop.py").write_text(HEAD + ALL)
    monkeypatch.setenv("PYTHON_GIL", "0")
    with running(directory, "shop:app", "--show-lanes") as server:
        assert ask(server, "/dict/there").header("freelane-gil") == "off"
        assert ask(server, "/dict/here").json == 1
        assert "GIL off, kept off by -X gil=0, unsafely: needsgil needs it" in server.output()
