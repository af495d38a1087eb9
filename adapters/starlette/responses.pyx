# cython: language_level=3, freethreading_compatible=True
"""Starlette's responses made in one step, where their classes are Starlette's own and nothing special is asked.

``Response.__init__`` calls ``render``, which for JSON has a new encoder made each time, and
``init_headers``. For what is no exact class of Starlette's, for content that the library might
write otherwise, and while a tool has something in the place of what these use, the original is called.
"""
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from freelane.adapters.compat import versions
from freelane.fastcore.json.plain cimport plain_text
from freelane.fastcore.routing.watch cimport Watch

# What those classes use of each other and of the library.
cdef tuple NAMES = (
    "json:dumps", "json:JSONEncoder", "starlette.responses:json",
    *(f"starlette.responses:{kind}.{name}" for kind in ("Response", "JSONResponse", "HTMLResponse", "PlainTextResponse")
      for name in ("__new__", "__setattr__", "render", "init_headers", "media_type", "charset")),
)  # fmt: skip

# All are written once, by `install`: the originals, what must stay as it is, each class's Content-Type.
cdef object own_response_init = None
cdef object own_json_init = None
cdef Watch unchanged = None
cdef dict types = {}


def install():
    """Put these in the place of Starlette's methods, unless those are somebody else's. Does it once."""
    global own_response_init, own_json_init, unchanged
    methods = ("Response.__init__", "Response.render", "Response.init_headers", "JSONResponse.__init__", "JSONResponse.render")
    code = [f"starlette.responses:{name}" for name in methods]
    if unchanged is not None or versions.replaced((*code, "json:dumps", "starlette.responses:json")):
        return
    for kind in (HTMLResponse, JSONResponse, PlainTextResponse, Response):
        found = kind("").raw_headers
        names = [name for name, _ in found]
        if names not in ([b"content-length", b"content-type"], [b"content-length"]) or kind.charset != "utf-8":
            return
        if set(vars(kind(""))) != {"status_code", "background", "body", "raw_headers"}:
            return
        types[kind] = found[1:]
    own_response_init, own_json_init = Response.__init__, JSONResponse.__init__
    versions.supplied.update((response_init, json_init))
    unchanged = versions.watch(NAMES)
    Response.__init__ = response_init
    JSONResponse.__init__ = json_init


def originals():
    """Starlette's own ``Response.__init__`` and ``JSONResponse.__init__``."""
    return own_response_init, own_json_init


def response_init(self, content=None, status_code=200, headers=None, media_type=None, background=None):
    """As ``Response.__init__``."""
    cdef bytes body = None
    if (
        headers is None and media_type is None and type(status_code) is int and type(self) in types
        and type(self) is not JSONResponse and unchanged.holds()
    ):  # fmt: skip
        if content is None:
            body = b""
        elif type(content) is bytes:
            body = content
        elif type(content) is str:
            body = (<str>content).encode("utf-8")
    if body is None:
        own_response_init(self, content, status_code, headers, media_type, background)
    else:
        fill(self, status_code, background, body)


def json_init(self, content, status_code=200, headers=None, media_type=None, background=None):
    """As ``JSONResponse.__init__``."""
    cdef bytes body = None
    if (
        type(self) is JSONResponse and headers is None and media_type is None and type(status_code) is int
        and unchanged.holds()
    ):  # fmt: skip
        body = plain_text(content)
    if body is None:
        own_json_init(self, content, status_code, headers, media_type, background)
    else:
        fill(self, status_code, background, body)


cdef object fill(object response, object status_code, object background, bytes body):
    cdef list raw_headers = <list>types[type(response)]
    if status_code < 200 or status_code == 204 or status_code == 304:
        raw_headers = raw_headers.copy()
    else:
        raw_headers = [(b"content-length", b"%d" % len(body)), *raw_headers]
    response.status_code = status_code
    response.background = background
    response.body = body
    response.raw_headers = raw_headers
