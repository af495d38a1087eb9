"""An exception for every HTTP error status; raised from a handler or hook, it is the answer."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class HTTPException(Exception):
    """Answers with ``status_code``. ``detail`` is the error's text or JSON; default: the status's phrase."""

    status_code = 500

    def __init__(self, detail: Any = None, *, status_code: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        if status_code is not None:
            self.status_code = status_code
        if not 400 <= self.status_code <= 599:
            raise ValueError(f"{self.status_code} is no HTTP error status")
        self.detail = self.phrase() if detail is None else detail
        self.headers: dict[str, str] = dict(headers or {})
        super().__init__(self.detail)

    def phrase(self) -> str:
        try:
            return HTTPStatus(self.status_code).phrase
        except ValueError:
            return "HTTP error"


class BadRequest(HTTPException):
    status_code = 400


class Unauthorized(HTTPException):
    status_code = 401


class PaymentRequired(HTTPException):
    status_code = 402


class Forbidden(HTTPException):
    status_code = 403


class NotFound(HTTPException):
    status_code = 404


class MethodNotAllowed(HTTPException):
    status_code = 405


class NotAcceptable(HTTPException):
    status_code = 406


class ProxyAuthenticationRequired(HTTPException):
    status_code = 407


class RequestTimeout(HTTPException):
    status_code = 408


class Conflict(HTTPException):
    status_code = 409


class Gone(HTTPException):
    status_code = 410


class LengthRequired(HTTPException):
    status_code = 411


class PreconditionFailed(HTTPException):
    status_code = 412


class PayloadTooLarge(HTTPException):
    status_code = 413


class URITooLong(HTTPException):
    status_code = 414


class UnsupportedMediaType(HTTPException):
    status_code = 415


class RangeNotSatisfiable(HTTPException):
    status_code = 416


class ExpectationFailed(HTTPException):
    status_code = 417


class ImATeapot(HTTPException):
    status_code = 418


class MisdirectedRequest(HTTPException):
    status_code = 421


class UnprocessableEntity(HTTPException):
    status_code = 422


class Locked(HTTPException):
    status_code = 423


class FailedDependency(HTTPException):
    status_code = 424


class TooEarly(HTTPException):
    status_code = 425


class UpgradeRequired(HTTPException):
    status_code = 426


class PreconditionRequired(HTTPException):
    status_code = 428


class TooManyRequests(HTTPException):
    status_code = 429


class RequestHeaderFieldsTooLarge(HTTPException):
    status_code = 431


class UnavailableForLegalReasons(HTTPException):
    status_code = 451


class InternalServerError(HTTPException):
    status_code = 500


class NotImplementedByServer(HTTPException):
    status_code = 501


class BadGateway(HTTPException):
    status_code = 502


class ServiceUnavailable(HTTPException):
    status_code = 503


class GatewayTimeout(HTTPException):
    status_code = 504


class HTTPVersionNotSupported(HTTPException):
    status_code = 505


class VariantAlsoNegotiates(HTTPException):
    status_code = 506


class InsufficientStorage(HTTPException):
    status_code = 507


class LoopDetected(HTTPException):
    status_code = 508


class NotExtended(HTTPException):
    status_code = 510


class NetworkAuthenticationRequired(HTTPException):
    status_code = 511


class InvalidValue(UnprocessableEntity):
    """A value of the request does not fit; ``where`` is ``path``, ``query`` or ``body``, ``name`` the parameter."""

    def __init__(self, where: str, name: str, message: str, errors: Any = None) -> None:
        self.where, self.name, self.message, self.errors = where, name, message, errors
        super().__init__(f"{where} parameter '{name}': {message}" if where != "body" else f"{name}: {message}")
