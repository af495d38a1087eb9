"""Security schemes and scopes. Its annotations are strings, as many apps have them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Security
from fastapi.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    HTTPDigest,
    OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
    OAuth2PasswordRequestFormStrict,
    OpenIdConnect,
    SecurityScopes,
)

from .both import Both

router = APIRouter()
both = Both(router)

password = OAuth2PasswordBearer(tokenUrl="token", scopes={"me": "read me", "items": "read items"})
optional = OAuth2PasswordBearer(tokenUrl="token", auto_error=False)
code = OAuth2AuthorizationCodeBearer(authorizationUrl="authorize", tokenUrl="token")
basic = HTTPBasic(realm="replay")
bearer = HTTPBearer()
bearer_optional = HTTPBearer(auto_error=False)
digest = HTTPDigest()
key_header = APIKeyHeader(name="x-api-key")
key_query = APIKeyQuery(name="api_key")
key_cookie = APIKeyCookie(name="api_cookie")
key_optional = APIKeyHeader(name="x-api-key", auto_error=False)
connect = OpenIdConnect(openIdConnectUrl="/openid")


def user(scopes: SecurityScopes, token: Annotated[str, Depends(password)]) -> dict[str, Any]:
    granted = token.split("-")
    for scope in scopes.scopes:
        if scope not in granted:
            value = f'Bearer scope="{scopes.scope_str}"'
            raise HTTPException(401, f"no {scope}", headers={"WWW-Authenticate": value})
    return {"token": token, "scopes": scopes.scopes}


def active(found: Annotated[dict[str, Any], Security(user, scopes=["me"])]) -> dict[str, Any]:
    if "inactive" in found["token"]:
        raise HTTPException(400, "inactive")
    return found


@both.get("/security/password")
def security_password(token: Annotated[str, Depends(password)]) -> Any:
    return token


@both.get("/security/optional")
def security_optional(token: Annotated[str | None, Depends(optional)]) -> Any:
    return {"token": token}


@both.get("/security/code")
def security_code(token: Annotated[str, Security(code)]) -> Any:
    return token


@both.get("/security/scopes")
def security_scopes(
    found: Annotated[dict[str, Any], Security(active, scopes=["items"])],
    again: Annotated[dict[str, Any], Security(user, scopes=["me"])],
    plain: Annotated[dict[str, Any], Depends(user)],
) -> Any:
    return [found, again, plain]


@both.get("/security/basic")
def security_basic(credentials: Annotated[HTTPBasicCredentials, Depends(basic)]) -> Any:
    return credentials


@both.get("/security/bearer")
def security_bearer(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> Any:
    return credentials


@both.get("/security/bearer-optional")
def security_bearer_optional(credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer_optional)]) -> Any:
    return {"found": credentials}


@both.get("/security/digest")
def security_digest(credentials: Annotated[HTTPAuthorizationCredentials, Security(digest)]) -> Any:
    return credentials


@both.get("/security/key-header")
def security_key_header(key: Annotated[str, Security(key_header)]) -> Any:
    return key


@both.get("/security/key-query")
def security_key_query(key: Annotated[str, Security(key_query)]) -> Any:
    return key


@both.get("/security/key-cookie")
def security_key_cookie(key: Annotated[str, Security(key_cookie)]) -> Any:
    return key


@both.get("/security/key-optional")
def security_key_optional(key: Annotated[str | None, Security(key_optional)]) -> Any:
    return {"key": key}


@both.get("/security/connect")
def security_connect(token: Annotated[str, Security(connect)]) -> Any:
    return token


@both.post("/security/token")
def security_token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Any:
    return {"user": form.username, "scopes": form.scopes, "grant": form.grant_type, "client": form.client_id}


@both.post("/security/token-strict")
def security_token_strict(form: Annotated[OAuth2PasswordRequestFormStrict, Depends()]) -> Any:
    return {"user": form.username, "grant": form.grant_type}
