"""A project of several packages for ``freelane build``, and a probe that prints all that it does."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "shop/__init__.py": "from .models import Base as Base\nfrom .main import app as app\n",
    "shop/models.py": '''\
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache, wraps
from pydantic import BaseModel, field_validator

class Colour(Enum):
    RED = 1
    def shout(self): return self.name + "!"

class Item(BaseModel):
    name: str
    price: float = 1.5
    @field_validator("name")
    @classmethod
    def strip(cls, value): return value.strip()
    def total(self, count: int) -> float: return self.price * count

@dataclass(slots=True)
class Point:
    x: float
    y: float = 2.0
    tags: list = field(default_factory=list)
    def norm(self) -> float: return self.x * self.x + self.y * self.y

class Base:
    """The base."""
    __secret = 3
    registry = []
    def __init_subclass__(cls, **more):
        super().__init_subclass__(**more)
        Base.registry.append(cls.__name__)
    def __init__(self, n: int) -> None:
        self.__n = n
    @property
    def n(self) -> int:
        "The number."
        return self.__n
    @n.setter
    def n(self, v): self.__n = v * self.__secret
    @classmethod
    def make(cls, *a, **k): return cls(*a, **k)
    @staticmethod
    def st(a, /, b=2, *args, c=3, **more): return a + b + c, args, more
    def __call__(self, x): return self.n + x
    async def later(self): return self.n
    def __repr__(self): return f"<{type(self).__name__} {self.n!r:>4}>"

class Child(Base):
    def __init__(self, n: int, m: "int" = 4) -> None:
        super().__init__(n)
        self.m = m
    def who(self): return __class__.__name__, super().n

def counted(function):
    """Counts."""
    @wraps(function)
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return function(*args, **kwargs)
    wrapper.calls = 0
    return wrapper

@counted
@lru_cache(maxsize=None)
def square(x: int) -> int:
    """x, twice."""
    return x * x
''',
    "shop/calc.py": '''\
"""Numbers."""
from __future__ import annotations
import inspect
from freelane.native import int64
RATE = 2
def numeric(n: int, by: Unknown = 0.5) -> float:
    total = 0.0
    for i in range(n):
        total += (i * by) / (i + 1.0)
    return total
def fail(a):
    x = 1

    return (x +
            x / a)
def recursive(n): return 1 + recursive(n - 1)
def rated(n): return n * RATE
def own(): return inspect.currentframe().f_code.co_name
def big(a: int64, b: int64) -> int:
    total: int64 = a
    total += b
    return total
def early(n):
    for i in range(n):
        if i == 3:
            return i
def generate(n):
    got = yield n
    yield got
async def agenerate(n):
    for i in range(n):
        yield i
async def inner(x): return x + 1
async def outer(x): return await inner(x) + await inner(x)
''',
    "shop/größe.py": "def größe(ä: int = 3) -> int:\n    return ä + 1\n",
    "shop/my-mod.py": "def odd(): return 1\n",
    "shop/broken.py": "def broken(:\n    pass\n",
    "shop/api/__init__.py": "",
    "shop/api/first.py": "from . import second\ndef one(): return second.two() + 1\ndef base(): return 1\n",
    "shop/api/second.py": "import importlib.resources\nfrom . import first\ndef two(): return first.base() + 1\n"
    "def data(): return importlib.resources.files('shop.api').joinpath('data.txt').read_text()\n",
    "shop/api/data.txt": "data",
    "shop/api/tests/test_it.py": "def test(): pass\n",
    "shop/__main__.py": "print('main')\n",
    "beside.py": "def helper(): return __name__, __file__.rpartition('/')[2]\n",
    "unreached.py": "def never(): return 1\n",
    "shop/main.py": '''\
from typing import Annotated
from fastapi import Depends, FastAPI, Query
from fastapi.responses import StreamingResponse
import beside
from .models import Child, Item
from . import calc
from .api import second

LIMIT = 10
def page(limit: Annotated[int, Query(ge=1)] = LIMIT):
    """The page."""
    yield limit

def make() -> FastAPI:
    app = FastAPI()
    seen = []
    @app.get("/")
    async def hello(q: str | None = None):
        seen.append(q)
        return {"hello": q, "limit": LIMIT, "seen": len(seen)}
    return app

app = make()

@app.post("/items")
def items(item: Item, limit: int = Depends(page)) -> Item:
    """Makes one."""
    return item
@app.get("/numeric/{n}")
async def numeric(n: int, later: Annotated["Later | None", Depends(lambda: None)] = None):
    return {"n": calc.numeric(n), "two": second.two(), "data": second.data(), "beside": beside.helper(), "m": Child(n).m}
@app.get("/stream")
def stream():
    def parts():
        yield "a"
        yield "b"
    return StreamingResponse(parts())
@app.get("/boom")
def boom():
    return calc.fail(0)

class Later: ...
''',
}

PROBE = """\
import asyncio, importlib, inspect, json, pickle, re, sys, traceback, typing, warnings
warnings.simplefilter("ignore")
root, mode = sys.argv[1:]
sys.path.insert(0, root)
from pathlib import Path
if mode == "compiled":
    from freelane.build import importer
    finder = importer.install(Path(root))
import shop, shop.calc as calc, shop.models as models, shop.main as main
from shop.api import first
odd = importlib.import_module("shop.my-mod"); size = importlib.import_module("shop.größe")
said = []
def say(*things): said.append(re.sub(r"<(?:cy)?function (\\S+) at 0x\\w+>", r"<function \\1>", repr(things)))
def raised(function, *arguments):
    try:
        return function(*arguments)
    except RecursionError as exc:
        return "RecursionError"
    except Exception as exc:
        lines = [line for line in traceback.format_exc().splitlines() if line.startswith("  File") and "probe" not in line]
        # Cython has its own words for arguments that do not fit.
        return type(exc).__name__, "argument" if "argument" in str(exc) else str(exc), lines if "argument" not in str(exc) else 0
try:
    import shop.broken
except SyntaxError as exc:
    say(exc.lineno)
functions = [calc.numeric, calc.generate, calc.agenerate, calc.outer, models.square, models.Base.make, models.Base.st, models.Child.__init__,
             models.Base.n.fget, models.counted, main.page, main.items, main.numeric, size.größe, models.Base.later, models.Point.norm]
for f in functions:
    say(f.__name__, f.__qualname__, f.__module__, f.__doc__, str(inspect.signature(f)), f.__defaults__ if not inspect.ismethod(f) else 0,
        inspect.iscoroutinefunction(f), inspect.isgeneratorfunction(f), inspect.isasyncgenfunction(f),
        getattr(f, "__kwdefaults__", 0) or None, inspect.unwrap(f).__name__, callable(f), inspect.isroutine(f),
        inspect.isfunction(f), inspect.ismethod(f), inspect.getsource(f))
    if f not in (calc.numeric,):
        say({key: str(value) for key, value in inspect.get_annotations(f).items()}, str(typing.get_type_hints(f)))
for f in (calc.numeric, models.square, models.Base.st, models.Child.who, models.Base.make):
    say(pickle.loads(pickle.dumps(f)) == f)
if sys.version_info >= (3, 14):
    import annotationlib
    say({k: str(v) for k, v in annotationlib.get_annotations(main.numeric, format=annotationlib.Format.STRING).items()})
say(calc.__file__.rpartition("/")[2], calc.__spec__.origin == calc.__file__, calc.__doc__, sorted(vars(calc)), main.__package__, shop.__path__ == [root + "/shop"])
say(type(calc).__name__, inspect.getsource(calc)[:10], inspect.getmodule(calc.numeric).__name__)
c = models.Child.make(3); c.n = 5
say(c.n, c.who(), models.Child.st(1, 2, 3, c=5, d=6), vars(c), repr(c), c(1), asyncio.run(c.later()), models.Base.registry, models.Base.__doc__)
say(models.square(3), models.square(3), models.square.calls, models.Colour.RED.shout(), models.Item(name=" x ").total(2), models.Point(3.0).norm(), repr(models.Point(1.0)))
say(raised(models.Base.st), raised(calc.fail, 0), raised(calc.fail, "x"), raised(calc.numeric, "x"), raised(calc.numeric, 2.0), raised(calc.recursive, 0))
say(calc.numeric(10), calc.numeric(10, 1), calc.own(), calc.early(10 ** 30), raised(calc.early, 2.5), first.one(), odd.odd(), size.größe())
g = calc.generate(1); say(next(g), g.send("got"), g.__name__, g.__qualname__)
async def collect(): return [x async for x in calc.agenerate(3)]
say(asyncio.run(collect()), asyncio.run(calc.outer(1)))
coro = calc.outer(1); say(coro.__name__, coro.__qualname__, inspect.isawaitable(coro), inspect.iscoroutine(coro), inspect.isgenerator(calc.generate(1))); coro.close()
from fastapi.testclient import TestClient
client = TestClient(main.app, raise_server_exceptions=False)
def ask():
    for url in ("/", "/?q=1", "/numeric/4", "/numeric/x", "/stream", "/boom", "/openapi.json"):
        answer = client.get(url); say(url, answer.status_code, answer.text)
    say(client.post("/items?limit=2", json={"name": " a "}).text, client.post("/items?limit=0", json={}).text)
ask()
main.LIMIT = 11; calc.RATE = 5; say(calc.rated(2)); calc.numeric = lambda n: "patched"; models.Base.make = classmethod(lambda cls: "made")
say(models.Child.make()); main.app.dependency_overrides[main.page] = lambda: 99
calc.recursive = lambda n: n; ask()
import builtins; builtins.beside_len = 1
say(getattr(sys, "_is_gil_enabled", lambda: None)())
print(json.dumps({"said": said, "compiled": finder.describe() if mode == "compiled" else "",
    "kinds": {f"{f.__module__}.{f.__qualname__}": type(f).__name__ for f in (calc.generate, calc.fail, models.Base.st, models.Child.who, models.Item.total, main.page, main.items, calc.own, first.one, size.größe)}}))
"""


def write(root: Path) -> None:
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
