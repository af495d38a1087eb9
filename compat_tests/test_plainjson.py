"""JSON read and told apart as the standard library and FastAPI's encoder have it."""

from __future__ import annotations

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freelane.fastcore.json.plain import loads, plain_text, read
from freelane.fastcore.json.writer import dumps

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def outcome(read: Any, text: bytes) -> tuple[str, str]:
    try:
        return "value", repr(read(text))
    except Exception as exc:
        return type(exc).__name__, str(exc)


@given(values, st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32", "utf-8-sig"]), st.booleans())
def test_reads_what_the_library_reads(value: Any, encoding: str, ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii).encode(encoding, "surrogatepass")
    assert outcome(loads, text) == outcome(json.loads, text)


NUMBER = r"-?(0|[1-9]\d{0,25})(\.\d{1,25})?([eE][+-]?\d{1,3})?"


@given(st.from_regex(NUMBER, fullmatch=True, alphabet=st.characters(codec="ascii")))
def test_reads_numbers_as_the_library_does(number: str) -> None:
    text = f"[{number}]".encode()
    assert outcome(loads, text) == outcome(json.loads, text)


@given(st.binary(max_size=12).map(lambda tail: b"{" + tail) | st.binary(max_size=12))
def test_fails_as_the_library_fails(text: bytes) -> None:
    assert outcome(loads, text) == outcome(json.loads, text)


def test_leaves_to_the_rest_what_is_no_json() -> None:
    def none(text: bytes) -> Any:
        raise AssertionError("asked")

    assert read(b'{"a": [1, NaN]}', True, none)["a"][0] == 1
    with pytest.raises(AssertionError, match="asked"):
        read(b"[NaN]", False, none)


@pytest.mark.parametrize("text", [b"", b"{", b"[", b"[1] ", b"[1] 2", b"{}x", b'{"a":1,}', b"[" * 5000, b" [1]", b"[NaN]"])
def test_edges(text: bytes) -> None:
    assert outcome(loads, text) == outcome(json.loads, text)


class Text(str): ...


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"a": [1, 2.5, None, True, "x", ("y",)]}, True),
        ({"_sa_instance": 1}, False),
        ({"_s": 1}, True),
        ({1: "x"}, False),
        ({"a": {"b": {1, 2}}}, False),
        (Text("x"), False),
        (math.nan, False),
        (b"x", False),
    ],
)
def test_tells_plain_values(value: Any, plain: bool) -> None:
    assert (plain_text(value, True) is not None) is plain


def by_library(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


@given(values)
def test_writes_what_the_library_writes(value: Any) -> None:
    found = plain_text(value)
    if found is not None:
        assert found == by_library(value)


def test_writes_keys_of_any_name() -> None:
    assert plain_text({"_sa": 1}) == b'{"_sa":1}'


def test_a_value_that_contains_itself_is_not_plain() -> None:
    value: list[Any] = []
    value.append(value)
    assert plain_text(value) is None


def test_values_that_other_threads_change_are_read_all_the_same() -> None:
    """Lists that are let go of while a reader waits for their lock: it must own what it looks at."""
    outer: dict[str, Any] = {}
    barrier, rounds = threading.Barrier(4), 200
    wrong: list[Any] = []

    def read_() -> None:
        barrier.wait()
        for _ in range(rounds * 4):
            if plain_text(outer) is None:
                wrong.append(outer)
            try:
                json.loads(dumps(outer))
            except RuntimeError as exc:  # as the json module says it
                assert "changed size" in str(exc)

    def change(name: int) -> None:
        barrier.wait()
        never = object()
        for at in range(rounds):
            for key in (f"{name}{at % 5}", f"{name}{at % 7}"):
                values = outer.pop(key, None) or [1] * 500
                values.copy()  # holds its lock
                del values  # the last reference
                [[never] for _ in range(10)]  # what must not be seen in its place
                outer[key] = [at] * 500 if at % 2 else {"inner": {"of": [at] * 50}}

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(read_), pool.submit(read_), pool.submit(change, 1), pool.submit(change, 2)]:
            done.result()
    assert not wrong
