"""A REST API: accounts with sessions in cookies, items checked by pydantic, pictures uploaded.

freelane run benchmarks.apps.pyre.shop:app
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import Any

from pydantic import BaseModel, Field

from freelane.adapters.pyre import Pyre, PyreRequest, PyreResponse, exceptions, get_cookie, parse_multipart
from freelane.adapters.pyre.cookies import delete_cookie, set_cookie

SESSION = "session"
MAX_PICTURE = 1024 * 1024  # bytes
OPEN = ("/accounts", "/sessions")

app = Pyre(title="Shop", version="1.0.0")
app.enable_cors(allow_origins=["https://shop.example"], allow_credentials=True)


class Account(BaseModel):
    name: str = Field(min_length=3, max_length=20, pattern="^[a-z]+$")
    password: str = Field(min_length=8)


class Item(BaseModel):
    name: str = Field(min_length=1, max_length=100)
    price: float = Field(gt=0)
    tags: list[str] = []


class Change(BaseModel):
    name: str | None = Field(None, min_length=1, max_length=100)
    price: float | None = Field(None, gt=0)


def digest(password: str, salt: str) -> str:
    return hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=2**12, r=8, p=1).hex()


@app.before_request
def authenticate(req: PyreRequest) -> PyreResponse | None:
    """Who writes or reads pictures must have a session."""
    token = get_cookie(req, SESSION)
    req.state.user = app.state.get(f"session:{token}") if token else None
    if req.method == "GET" or req.path in OPEN or req.state.user:
        return None
    return PyreResponse({"error": "log in first"}, 401)


@app.after_request
def harden(req: PyreRequest, resp: PyreResponse) -> PyreResponse:
    resp.headers["x-content-type-options"] = "nosniff"
    return resp


@app.post("/accounts")
def sign_up(account: Account) -> tuple[dict[str, str], int]:
    salt = secrets.token_hex(16)
    if app.state.incr(f"taken:{account.name}", 1) > 1:
        raise exceptions.Conflict(f"'{account.name}' is taken")
    app.state[f"account:{account.name}"] = json.dumps({"salt": salt, "digest": digest(account.password, salt)})
    return {"name": account.name}, 201


@app.post("/sessions")
def log_in(account: Account) -> PyreResponse:
    known = json.loads(app.state.get(f"account:{account.name}") or '{"salt": "00", "digest": ""}')
    if not hmac.compare_digest(known["digest"], digest(account.password, known["salt"])):
        raise exceptions.Unauthorized("wrong name or password")
    token = secrets.token_urlsafe(32)
    app.state[f"session:{token}"] = account.name
    response = set_cookie(PyreResponse({"name": account.name}), SESSION, token, httponly=True, max_age=86400)
    return set_cookie(response, "name", account.name)


@app.delete("/sessions")
def log_out(req: PyreRequest) -> PyreResponse:
    app.state.delete(f"session:{get_cookie(req, SESSION)}")
    return delete_cookie(PyreResponse("", 204), SESSION)


def item_of(id: int) -> dict[str, Any]:
    text = app.state.get(f"item:{id}")
    if text is None:
        raise exceptions.NotFound(f"no item {id}")
    return json.loads(text)  # type: ignore[no-any-return]


def store(item: dict[str, Any]) -> dict[str, Any]:
    app.state[f"item:{item['id']}"] = json.dumps(item)
    return item


@app.get("/items")
def list_items(page: int = 1, per_page: int = 10, tag: str | None = None) -> dict[str, Any]:
    if page < 1 or not 1 <= per_page <= 100:
        raise exceptions.UnprocessableEntity("page must be at least 1 and per_page from 1 to 100")
    keys = sorted((key for key in app.state.keys() if key.startswith("item:")), key=lambda key: int(key[5:]))
    items = [json.loads(text) for key in keys if (text := app.state.get(key))]
    if tag is not None:
        items = [item for item in items if tag in item["tags"]]
    return {"items": items[(page - 1) * per_page : page * per_page], "total": len(items)}


@app.post("/items")
def make_item(req: PyreRequest, item: Item) -> tuple[dict[str, Any], int, dict[str, str]]:
    made = store({"id": app.state.incr("items", 1), "owner": req.state.user, **item.model_dump()})
    return made, 201, {"location": f"/items/{made['id']}"}


@app.get("/items/{id}")
def read_item(id: int) -> dict[str, Any]:
    return item_of(id)


def own(req: PyreRequest, id: int) -> dict[str, Any]:
    item = item_of(id)
    if item["owner"] != req.state.user:
        raise exceptions.Forbidden("not your item")
    return item


@app.patch("/items/{id}")
def change_item(req: PyreRequest, id: int, change: Change) -> dict[str, Any]:
    return store({**own(req, id), **change.model_dump(exclude_none=True)})


@app.delete("/items/{id}")
def drop_item(req: PyreRequest, id: int) -> tuple[str, int]:
    own(req, id)
    app.state.delete(f"item:{id}")
    app.state.delete(f"picture:{id}")
    return "", 204


@app.put("/items/{id}/picture")
def put_picture(req: PyreRequest, id: int) -> dict[str, Any]:
    own(req, id)
    try:
        picture = parse_multipart(req).get("picture")
    except ValueError as exc:
        raise exceptions.BadRequest(str(exc)) from None
    if picture is None or not picture.content_type.startswith("image/"):
        raise exceptions.UnsupportedMediaType("send an image as 'picture'")
    if picture.size > MAX_PICTURE:
        raise exceptions.PayloadTooLarge(f"at most {MAX_PICTURE} bytes")
    app.state.set_bytes(f"picture:{id}", picture.data)
    return {"size": picture.size}


@app.get("/items/{id}/picture")
def read_picture(id: int) -> PyreResponse:
    data = app.state.get_bytes(f"picture:{id}")
    if data is None:
        raise exceptions.NotFound(f"item {id} has no picture")
    return PyreResponse(data, content_type="image/*")


if __name__ == "__main__":
    app.run()
