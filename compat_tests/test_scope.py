"""The lazy scope: whatever way a dict can be touched, it is a whole ASGI scope."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from freelane.fastcore.asgi.scope import Scope, server_address, split_address
from freelane.server.forwarded import ForwardedHeaders
from freelane.testing import make_scope

HEADERS = [(b"host", b"example.org"), (b"x-many", b"1"), (b"x-many", b"2")]
WHOLE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "scheme": "http",
    "method": "GET",
    "server": ("127.0.0.1", 80),
    "client": ("127.0.0.1", 50000),
    "root_path": "/root",
    "path": "/root/a b",
    "raw_path": b"/root/a%20b",
    "query_string": b"q=1",
    "headers": HEADERS,
    "state": {"key": "value"},
}


def make(**values: Any) -> Scope:
    return Scope(make_scope("GET", "/a%20b?q=1", HEADERS, **values), False, "/root", {"key": "value"})


def matched(scope: Any) -> Any:
    match scope:
        case {"headers": headers, "client": client}:
            return headers, client
    return None


@pytest.mark.parametrize(
    "touch",
    [
        dict,
        lambda scope: {**scope},
        lambda scope: dict(scope.items()),
        lambda scope: {key: scope[key] for key in scope},
        lambda scope: {key: scope.get(key) for key in scope.keys()},
        lambda scope: dict(zip(scope.keys(), scope.values())),
        lambda scope: scope.copy(),
        copy.copy,
        copy.deepcopy,
        lambda scope: pickle.loads(pickle.dumps(scope)),
        lambda scope: scope | {},
        lambda scope: {} | scope,
        lambda scope: (lambda **values: values)(**scope),
        lambda scope: {key: scope.pop(key) for key in list(scope)},
        lambda scope: dict(reversed([scope.popitem() for _ in range(len(scope))])),
        lambda scope: {key: scope.setdefault(key, None) for key in list(scope)},
        lambda scope: dict(sorted(scope.items(), key=lambda item: item[0])),
    ],
)
def test_every_touch_gives_the_whole(touch: Callable[[Any], Any]) -> None:
    assert touch(make()) == WHOLE


def test_equality_length_and_repr() -> None:
    assert make() == WHOLE and WHOLE == make() and make() == make() and not make() != WHOLE
    assert len(make()) == len(WHOLE)
    assert eval(repr(make())) == WHOLE
    assert "headers" in make() and "nothing" not in make()


def test_pattern_matching_and_subscripts() -> None:
    assert matched(make()) == (HEADERS, ("127.0.0.1", 50000))
    assert make()["raw_path"] == b"/root/a%20b"
    assert make().get("nothing", 3) == 3
    with pytest.raises(KeyError):
        make()["nothing"]
    other: dict[str, Any] = {}
    other.update(make())
    assert other == WHOLE
    assert json.dumps(make(), default=repr) == json.dumps(WHOLE, default=repr) or set(make()) == set(WHOLE)


def test_what_the_app_sets_stays() -> None:
    scope = make()
    scope["headers"] = []
    scope["client"] = None
    assert dict(scope) == {**WHOLE, "headers": [], "client": None}


def test_is_a_dict_and_state_is_a_copy() -> None:
    state = {"key": "value"}
    scope = Scope(make_scope("GET", "/"), False, "", state)
    assert isinstance(scope, dict)
    scope["state"]["key"] = "other"
    assert state == {"key": "value"}


def test_threads_fill_it_once_and_alike() -> None:
    for _ in range(50):
        scope, barrier, seen = make(), threading.Barrier(4), []

        def touch() -> None:
            barrier.wait()
            seen.append((scope["headers"], dict(scope)))

        threads = [threading.Thread(target=touch) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(headers is seen[0][0] and whole == WHOLE for headers, whole in seen)


def test_http_2_gets_its_host_from_the_authority() -> None:
    scope = Scope(make_scope("GET", "/", [], http_version="2", authority="h2.example"), False, "", {})
    assert scope["headers"] == [(b"host", b"h2.example")]
    assert scope["http_version"] == "2"


def test_http_1_0_is_spelt_out() -> None:
    assert Scope(make_scope("GET", "/", http_version="1"), False, "", {})["http_version"] == "1.0"


def test_websocket_scheme_and_subprotocols() -> None:
    headers = [(b"sec-websocket-protocol", b"a, b"), (b"sec-websocket-protocol", b"c")]
    scope = Scope(make_scope("GET", "/", headers, proto="ws", scheme="https"), True, "", {})
    assert (scope["type"], scope["scheme"], scope["subprotocols"]) == ("websocket", "wss", ["a", "b", "c"])
    assert "method" not in scope


def test_a_header_that_rsgi_lost_is_not_lost_silently(caplog: pytest.LogCaptureFixture) -> None:
    headers = [(b"x-name", b"caf\xe9"), (b"x-other", b"1")]
    scope = Scope(make_scope("GET", "/menu", headers), False, "", {})
    with propagated("freelane.error"):
        assert scope["headers"] == [(b"x-other", b"1")]
    assert "x-name of GET /menu from 127.0.0.1:50000" in caplog.text


@contextmanager
def propagated(name: str) -> Iterator[None]:
    """What the logger ``name`` gets reaches pytest, whatever was configured before."""
    logger = logging.getLogger(name)
    before, logger.propagate = logger.propagate, True
    try:
        yield
    finally:
        logger.propagate = before


def test_a_query_in_utf_8_is_what_came() -> None:
    assert Scope(make_scope("GET", "/?q=\u00fc\u20ac"), False, "", {})["query_string"] == "q=\u00fc\u20ac".encode()


def test_raw_path_is_what_came_whatever_the_app_made_of_it() -> None:
    scope = Scope(make_scope("GET", "/old/caf%C3%A9"), False, "/root", {})
    scope["path"] = "/new"
    assert scope["raw_path"] == b"/root/old/caf%C3%A9"


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8000", ("::1", 8000)), ("", None), ("/run/sock", None)],
)
def test_addresses(text: str, address: Any) -> None:
    assert split_address(text) == address
    assert server_address("/run/sock") == ("/run/sock", None)


@pytest.mark.parametrize(
    ("trusted", "headers", "client", "scheme"),
    [
        ("127.0.0.1", [], ("127.0.0.1", 50000), "http"),
        ("127.0.0.1", [(b"x-forwarded-proto", b"https")], ("127.0.0.1", 50000), "https"),
        ("127.0.0.1", [(b"x-forwarded-for", b"1.2.3.4")], ("1.2.3.4", 0), "http"),
        ("127.0.0.1", [(b"x-forwarded-for", b"9.9.9.9, 1.2.3.4:5, 127.0.0.1")], ("1.2.3.4", 5), "http"),
        ("10.0.0.0/8", [(b"x-forwarded-proto", b"https")], ("127.0.0.1", 50000), "http"),
        ("*", [(b"x-forwarded-for", b"[2001:db8::1]:77, 1.1.1.1")], ("2001:db8::1", 77), "http"),
    ],
)
def test_forwarded_headers(trusted: str, headers: Any, client: Any, scheme: str) -> None:
    scope = Scope(make_scope("GET", "/", headers), False, "", {}, ForwardedHeaders(trusted))
    assert (scope["client"], scope["scheme"]) == (client, scheme)
    assert dict(scope)["scheme"] == scheme
