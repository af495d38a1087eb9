# cython: language_level=3, freethreading_compatible=True
"""The request that handlers and hooks are given, and the shortest way from one to its answer.

Nothing of a request is computed that is not asked for.
"""
import inspect
from types import SimpleNamespace

from freelane.adapters.pyre.parsing import load_json, merge, query_pairs
from freelane.adapters.pyre.responses import JSON_TYPE, convert, render
from freelane.fastcore.asgi.scope import Scope

from freelane.fastcore.routing.dispatcher cimport Call
from freelane.fastcore.json.writer cimport dumps
from freelane.fastcore.json.plain cimport read


cdef class PyreRequest:
    """An HTTP request with its whole body.

    - ``params``: path parameters, decoded.
    - ``query``: the query string as it came; ``query_params`` decoded, the last of each name.
    - ``headers``: names in lower case.
    - ``body``: bytes.
    - ``state``: a namespace for hooks to leave things in.
    """

    # One request is one thread's at a time.
    cdef readonly str method
    cdef readonly str path
    cdef object _params
    cdef object _body
    cdef object _query
    cdef object _headers
    cdef object _client_ip
    cdef object _pairs
    cdef object _query_params
    cdef object _state

    def __init__(self, str method="GET", str path="/", params=None, str query="", bytes body=b"", headers=None,
                 str client_ip=""):
        self.method = method
        self.path = path
        self._params = params
        self._query = query
        self._body = body
        self._headers = {} if headers is None else headers
        self._client_ip = client_ip

    @property
    def params(self):
        if self._params is None:
            self._params = {}
        return self._params

    cdef bytes whole_body(self):
        return self._body

    @property
    def body(self):
        return self.whole_body()

    @property
    def query(self):
        return self._query

    @property
    def headers(self):
        return self._headers

    @property
    def client_ip(self):
        return self._client_ip

    @property
    def scope(self):
        """The ASGI scope; None for a request that was made by hand."""
        return None

    @property
    def query_pairs(self):
        """Every query parameter, decoded, in order."""
        if self._pairs is None:
            self._pairs = query_pairs(self.query)
        return self._pairs

    @property
    def query_params(self):
        if self._query_params is None:
            self._query_params = dict(self.query_pairs)
        return self._query_params

    @property
    def state(self):
        if self._state is None:
            self._state = SimpleNamespace()
        return self._state

    @property
    def cookies(self):
        from freelane.adapters.pyre.cookies import get_cookies

        return get_cookies(self)

    def text(self):
        """The body as UTF-8. Raises ValueError when it is not."""
        return str(self.body, "utf-8")

    def json(self):
        """The body's JSON. Raises ValueError when it is none."""
        return read(self.whole_body(), False, load_json)

    def __repr__(self):
        return f"<PyreRequest {self.method} {self.path}>"


cdef class DirectRequest(PyreRequest):
    """A request over RSGI."""

    cdef Call call

    def __init__(self, Call call):
        self.begin(call)

    cdef object begin(self, Call call):
        self.call = call
        self.method = call.method
        self.path = call.path
        self._params = call.params

    cdef bytes whole_body(self):
        if self.call.body is None:
            # No thread may wait for a client: the body is there before a handler that can ask for it.
            raise RuntimeError("the body of this request was not read, as the handler's code does not ask for one")
        return self.call.body

    @property
    def query(self):
        return self.call.source.query_string

    @property
    def headers(self):
        if self._headers is None:
            headers = self.call.source.headers
            self._headers = merge(headers.items())
            if len(headers) > len(self._headers):
                self.scope["headers"]  # names what RSGI could not carry
        return self._headers

    @property
    def client_ip(self):
        client = self.scope["client"]
        return client[0] if client else ""

    @property
    def scope(self):
        gateway = self.call.gateway
        return Scope(self.call.source, False, gateway.root_path, gateway.state, gateway.forwarded)


cdef class ASGIRequest(PyreRequest):
    """A request from an ASGI server, or from an app that this one is mounted in."""

    cdef object source

    def __init__(self, source, str path, bytes body, params):
        self.source = source
        self.method = source["method"]
        self.path = path
        self._body = body
        self._params = params

    @property
    def query(self):
        return self.source["query_string"].decode("latin-1")

    @property
    def headers(self):
        if self._headers is None:
            self._headers = merge(self.source["headers"])
        return self._headers

    @property
    def client_ip(self):
        client = self.source.get("client")
        return client[0] if client else ""

    @property
    def scope(self):
        return self.source


# Nobody changes a list of headers that is on its way out.
cdef list JSON_HEADERS = [("content-type", JSON_TYPE)]


cdef class BareAnswer:
    """The answers of ``def`` handlers that no hook, CORS or log is around.

    Called with a ``Call``, gives status, headers and body. Does not raise what is the app's.

    - ``failure(exc, request)``: the answer to an exception.
    - ``wait(awaitable)``: its result, on this thread.
    """

    # Constant once made.
    cdef object failure
    cdef object wait

    def __init__(self, failure, wait):
        self.failure = failure
        self.wait = wait

    def __call__(self, Call call not None):
        cdef DirectRequest request = DirectRequest.__new__(DirectRequest)
        cdef object value, kind
        request.begin(call)
        try:
            value = call.target.call(request)
            kind = type(value)
            if kind is dict or kind is list:
                return 200, JSON_HEADERS, dumps(value, convert)
            if kind is not str and inspect.isawaitable(value):
                value = self.wait(value)
            return render(value)
        except BaseException as exc:
            return self.failure(exc, request)
