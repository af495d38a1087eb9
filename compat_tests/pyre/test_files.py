"""Static files, cookies and uploads."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from freelane.adapters.pyre import Pyre, PyreRequest, PyreResponse, parse_multipart
from freelane.adapters.pyre.cookies import delete_cookie, get_cookies, set_cookie
from freelane.adapters.pyre.testing import TestClient

pytestmark = pytest.mark.thread_unsafe(reason="one server for all of them")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    root = tmp_path_factory.mktemp("root")
    public = root / "public"
    (public / "sub").mkdir(parents=True)
    (public / "a b.txt").write_text("0123456789")
    (public / "page.html").write_text("<p>")
    (public / "two..dots.js").write_text("dots")
    (root / "secret.txt").write_text("secret")
    (public / "link.txt").symlink_to(root / "secret.txt")
    app = Pyre()
    app.enable_cors()
    app.static("/files", str(public))

    @app.get("/files/route")
    def route(req: Any) -> str:
        return "a route comes first"

    @app.get("/cookies")
    def cookies(req: Any) -> Any:
        response = set_cookie(PyreResponse(get_cookies(req)), "a", "1", httponly=True)
        return set_cookie(response, "b", "2", secure=True, samesite="None")

    @app.post("/upload")
    def upload(req: Any) -> Any:
        form = parse_multipart(req)
        return {name: [part.filename, part.content_type, part.size, part.text] for name, part in form.items()}

    with TestClient(app) as client:
        yield client


def raw_get(client: TestClient, target: str, **headers: str) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(client.host, client.port, timeout=120)
    connection.request("GET", target, headers=headers)
    response = connection.getresponse()
    return response.status, response.read(), response.headers


def test_file_is_found_by_its_decoded_name(client: TestClient) -> None:
    response = client.get("/files/a%20b.txt")
    assert (response.text, response.headers["content-type"]) == ("0123456789", "text/plain; charset=utf-8")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["access-control-allow-origin"] == "*"


def test_range(client: TestClient) -> None:
    status, body, headers = raw_get(client, "/files/a%20b.txt", range="bytes=2-4")
    assert (status, body, headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert raw_get(client, "/files/a%20b.txt", range="bytes=50-")[0] == 416


def test_etag_and_last_modified(client: TestClient) -> None:
    headers = client.get("/files/page.html").headers
    assert raw_get(client, "/files/page.html", **{"if-none-match": headers["etag"]})[0] == 304
    assert raw_get(client, "/files/page.html", **{"if-modified-since": headers["last-modified"]})[0] == 304


@pytest.mark.parametrize(
    "target",
    ["/files/../secret.txt", "/files/%2e%2e/secret.txt", "/files/sub/..%2f..%2fsecret.txt", "/files/..%5csecret.txt",
     "/files/link.txt", "/files//etc/passwd", "/files/%00"],
)  # fmt: skip
def test_nothing_outside_the_directory(client: TestClient, target: str) -> None:
    status, body, _ = raw_get(client, target)
    assert status in (403, 404)
    assert b"secret" not in body and b"root:" not in body


def test_dots_within_a_name_are_no_traversal(client: TestClient) -> None:
    assert client.get("/files/two..dots.js").text == "dots"


def test_routes_come_before_files_and_directories_are_none(client: TestClient) -> None:
    assert client.get("/files/route").text == "a route comes first"
    assert client.get("/files/sub").status_code == 404


def test_missing_directory_is_refused() -> None:
    with pytest.raises(ValueError, match="not found"):
        Pyre().static("/x", "/nowhere/at/all")


# -- cookies


def test_every_set_cookie_is_kept(client: TestClient) -> None:
    response = client.get("/cookies", headers={"cookie": 'x=1; y="two"; x=shadowed'})
    assert response.json() == {"x": "1", "y": "two"}
    assert [value for name, value in response.header_list if name == "set-cookie"] == [
        "a=1; Path=/; HttpOnly; SameSite=Lax",
        "b=2; Path=/; Secure; SameSite=None",
    ]


@pytest.mark.parametrize("value", ["a;b", "a\r\nb", "a\0", "ä", "a\x7f"])
@pytest.mark.parametrize("field", ["value", "path", "domain", "expires"])
def test_cookie_cannot_carry_what_ends_it(value: str, field: str) -> None:
    arguments = {"value": "v", field: value}
    with pytest.raises(ValueError, match=field):
        set_cookie(PyreResponse(), "name", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "a\n"])
def test_cookie_name_is_a_token(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        set_cookie(PyreResponse(), name, "v")


def test_cookie_set_twice_is_replaced() -> None:
    response = set_cookie(set_cookie(PyreResponse(), "a", "1"), "a", "2")
    assert response.headers["set-cookie"] == "a=2; Path=/; SameSite=Lax"
    assert "Max-Age=0" in delete_cookie(response, "a").headers["set-cookie"]


# -- uploads


def multipart(*parts: tuple[str, bytes], boundary: str = "bound") -> tuple[bytes, dict[str, str]]:
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts
    )
    return body + f"--{boundary}--\r\n".encode(), {"content-type": f'multipart/form-data; boundary="{boundary}"'}


def test_fields_and_files(client: TestClient) -> None:
    tricky = b"\r\n--bound-not\r\n\r\n\x00"
    body, headers = multipart(
        ('name="field"', "wörd".encode()),
        ('name="file"; filename="a;b.png"\r\nContent-Type: image/png', tricky),
        ('name="empty"; filename=""', b""),
    )
    assert client.post("/upload", body=body, headers=headers).json() == {
        "field": [None, "text/plain", 5, "wörd"],
        "file": ["a;b.png", "image/png", len(tricky), tricky.decode()],
        "empty": ["", "application/octet-stream", 0, ""],
    }


def request(body: bytes, headers: dict[str, str]) -> PyreRequest:
    return PyreRequest("POST", body=body, headers=headers)


def test_fields_of_one_name() -> None:
    form = parse_multipart(request(*multipart(('name="a"', b"1"), ('name="a"', b"2"))))
    assert (form["a"].text, [part.text for part in form.getlist("a")]) == ("2", ["1", "2"])


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (b"", {"content-type": "text/plain"}, "Expected multipart"),
        (b"", {"content-type": "multipart/form-data"}, "Missing boundary"),
        (multipart(('name="a"', b"1"))[0][:-10], {"content-type": "multipart/form-data; boundary=bound"}, "malformed"),
        (b"nonsense", {"content-type": "multipart/form-data; boundary=bound"}, "malformed"),
        (*multipart(("size=1", b"1")), "no name"),
        (*multipart(*[('name="a"', b"")] * 1001), "more than 1000"),
        (*multipart(('name="a"\r\nX: ' + "y" * 20_000, b"")), "header"),
    ],
)
def test_what_is_no_form_is_an_error(body: bytes, headers: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_multipart(request(body, headers))
