"""The radix router: against Starlette's own matching by property, and by example."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.convertors import CONVERTOR_TYPES, Convertor
from starlette.routing import Match, Mount, Route

from freelane.fastcore.routing.router import MethodNotAllowed, Router

METHODS = ["GET", "POST", "PUT"]


class Hex(Convertor[int]):
    regex = "[0-9a-f]{2,4}"

    def convert(self, value: str) -> int:
        return int(value, 16)

    def to_string(self, value: int) -> str:
        return f"{value:x}"


TYPES = {**CONVERTOR_TYPES, "hex": Hex()}


async def endpoint(request: Any) -> None: ...


def starlette_answer(routes: list[Any], method: str, path: str) -> Any:
    """What ``starlette.routing.Router`` does with the path: winner and parameters, or the first partial."""
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    partial = None
    for index, route in enumerate(routes):
        match, child = route.matches(dict(scope))
        if match is Match.FULL:
            return index, child["path_params"]
        if match is Match.PARTIAL and partial is None:
            partial = index, child["path_params"]
    return None if partial is None else ("405", *partial)


def our_answer(router: Router, method: str, path: str) -> Any:
    found = router.publish().match(method, path)
    if isinstance(found, MethodNotAllowed):
        return "405", found.value, found.params or {}
    return None if found is None else (found[0], found[1] or {})


# Few letters, so that patterns overlap and paths match; all that the router treats apart is among them.
text = st.text(st.sampled_from("ab1f-./é\n"), max_size=3)
piece = st.one_of(
    st.sampled_from(["a", "ab", "abc", "1", "f0", ".json", "-", "é"]),
    st.sampled_from(["{}", "{}", "{:int}", "{:float}", "{:path}", "{:uuid}", "{:hex}", "{:str}"]),
)
segment = st.lists(piece, max_size=3)
UUID = "12345678-1234-5678-1234-567812345678"


@st.composite
def patterns(draw: st.DrawFn) -> str:
    names = iter("pqrstuvwxyz")
    made = ""
    for parts in draw(st.lists(segment, min_size=1, max_size=3)):
        made += "/" + "".join(part if part[0] != "{" else "{" + next(names) + part[1:] for part in parts)
    return made


filling = st.one_of(text, st.sampled_from(["1", "12", "1.5", "a-b", "a/b", "f0", "beef", UUID, "", "x\n"]))


@st.composite
def paths(draw: st.DrawFn, known: list[str]) -> str:
    if not known or draw(st.integers(0, 4)) == 0:
        return "/" + draw(text)
    path = ""
    rest = draw(st.sampled_from(known))
    while "{" in rest:
        before, _, rest = rest.partition("{")
        path += before + draw(filling)
        rest = rest.partition("}")[2]
    return path + rest + draw(st.sampled_from(["", "", "", "/", "\n", "x"]))


@given(st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.thread_unsafe(reason="registers a convertor with Starlette for its time")
def test_same_winner_and_parameters_as_starlette(data: st.DataObject) -> None:
    CONVERTOR_TYPES["hex"] = TYPES["hex"]
    try:
        table = data.draw(
            st.lists(
                st.tuples(patterns(), st.sets(st.sampled_from(METHODS), max_size=2), st.integers(0, 9)),
                min_size=1,
                max_size=8,
            )
        )
        router = Router("first", convertors=TYPES)
        routes: list[Mount | Route] = []
        for index, (path, methods, kind) in enumerate(table):
            if kind == 0:
                routes.append(Mount(path.rstrip("/"), routes=[]))
                router.add(path.rstrip("/"), None, index, prefix=True)
            else:
                route = Route(path, endpoint, methods=sorted(methods) or None)
                routes.append(route)
                router.add(path, route.methods, index)
        for path in data.draw(st.lists(paths([path for path, _, _ in table]), min_size=1, max_size=6)):
            for method in METHODS:
                expected = starlette_answer(routes, method, path)
                found = our_answer(router, method, path)
                expected, found = without_mount_rest(routes, expected), without_mount_rest(routes, found)
                assert found == expected, (table, method, path)
    finally:
        del CONVERTOR_TYPES["hex"]


def without_mount_rest(routes: list[Any], answer: Any) -> Any:
    # Starlette's Mount moves the rest of the path from the parameters to root_path.
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(routes[answer[0]], Mount):
        return answer[0], {name: value for name, value in answer[1].items() if name != "path"}
    return answer


def table(order: str, *rows: tuple[str, list[str] | None]) -> Any:
    router = Router(order, convertors=TYPES)  # type: ignore[arg-type]
    for path, methods in rows:
        router.add(path, methods, path)
    return router.publish()


def test_first_registered_wins() -> None:
    snapshot = table("first", ("/{name}", ["GET"]), ("/static", ["GET"]))
    assert snapshot.match("GET", "/static") == ("/{name}", {"name": "static"})


def test_most_specific_wins() -> None:
    snapshot = table("specific", ("/{rest:path}", None), ("/{name}", ["GET"]), ("/{n:int}", ["GET"]), ("/static", ["GET"]))
    assert snapshot.match("GET", "/static")[0] == "/static"
    assert snapshot.match("GET", "/12") == ("/{n:int}", {"n": 12})
    assert snapshot.match("GET", "/other")[0] == "/{name}"
    assert snapshot.match("GET", "/a/b")[0] == "/{rest:path}"


def test_backtracks_out_of_a_static_branch() -> None:
    snapshot = table("specific", ("/users/me/profile", ["GET"]), ("/users/{id}/posts", ["GET"]))
    assert snapshot.match("GET", "/users/me/posts") == ("/users/{id}/posts", {"id": "me"})


def test_method_not_allowed_names_the_union() -> None:
    snapshot = table("first", ("/a", ["GET", "HEAD"]), ("/{x}", ["POST"]))
    found = snapshot.match("DELETE", "/a")
    assert isinstance(found, MethodNotAllowed)
    assert (found.value, found.methods, found.allow) == ("/a", ("GET", "HEAD"), ("GET", "HEAD", "POST"))


def test_not_found() -> None:
    assert table("first", ("/a", None)).match("GET", "/b") is None


def test_non_ascii_and_decoded_slash() -> None:
    snapshot = table("first", ("/žluť/{x:path}", None))
    assert snapshot.match("GET", "/žluť/a/b") == ("/žluť/{x:path}", {"x": "a/b"})


def test_cost_does_not_grow_with_the_table() -> None:
    small, large = (
        table("first", *[(f"/r{i:04}/{{a}}/x", ["GET"]) for i in range(n)], ("/last/{a}/x", ["GET"])) for n in (10, 1000)
    )
    assert large.visits("GET", "/last/1/x") <= small.visits("GET", "/last/1/x") + 3


@pytest.mark.parametrize("pattern", ["/{a}/{a}", "/{a:nosuch}"])
def test_bad_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        Router().add(pattern, None, 1)


def test_readers_see_whole_snapshots_while_a_writer_publishes() -> None:
    router = Router("first")
    router.add("/start", None, 0)
    router.publish()
    barrier = threading.Barrier(5)
    wrong: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        barrier.wait()
        while not stop.is_set():
            snapshot = router.snapshot()
            last = len(snapshot) - 1
            expected = ("/start" if last == 0 else f"/r{last}/x", last)
            found = snapshot.match("GET", expected[0])
            if not isinstance(found, tuple) or found[0] != last:
                wrong.append((expected, found))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    barrier.wait()
    for index in range(1, 300):
        router.add("/r%d/{x}" % index, None, index)
        router.publish()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("pattern", "path", "params"),
    [
        ("/users/{id:int}/posts/{slug}", "/users/0012/posts/abc", {"id": 12, "slug": "abc"}),
        ("/big/{id:int}", "/big/" + "9" * 30, {"id": int("9" * 30)}),
        ("/f/{x:float}/end", "/f/12.50/end", {"x": 12.5}),
        ("/hex/{x:hex}", "/hex/beef", {"x": 0xBEEF}),
        ("/{a}-{b}", "/x-y-z", {"a": "x-y", "b": "z"}),
        ("/{name}.json", "/a.b.json", {"name": "a.b"}),
        ("/{rest:path}/end", "/a/end/end", {"rest": "a/end"}),
    ],
)
def test_values(pattern: str, path: str, params: dict[str, Any]) -> None:
    assert table("first", (pattern, None)).match("GET", path) == (pattern, params)
    # the table around it must not matter
    crowd = [(f"/crowd/{i}", None) for i in range(50)]
    assert table("first", *crowd, (pattern, None)).match("GET", path) == (pattern, params)
