"""Errors as HTTP says them: problem documents (RFC 9457) that name the field and the remedy."""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from msgspec import Struct

from broker.cluster import NotSubmitted, Refused
from broker.errors import BrokerError
from gateway.allowing import allowed
from schemas.errors import DowndraftError, PolicyInvalid, RequestInvalid

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
CHALLENGE = 'Bearer realm="downdraft"'
"""How to show a key, as each 401 has to say (RFC 9110, 11.6.1)."""


_BODY = "data"
"""What the framework calls a body."""


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document."""

    title: str
    status: int
    detail: str = ""
    """What was wrong, where, and what to do."""
    field: str = ""
    """The field at fault: `uris[0]`, `options.split`."""


class ProblemError(DowndraftError):
    """Ends a request with a problem document."""

    def __init__(self, status: int, detail: str, *, field: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.field, self.headers = status, field, headers or {}


def answer(status: int, detail: str, *, field: str = "", headers: dict[str, str] | None = None) -> Response[Problem]:
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, field=field)
    if status == HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": CHALLENGE} | (headers or {})
    return Response(problem, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _of_problem(_: "Request[Any, Any, Any]", error: ProblemError) -> Response[Problem]:
    return answer(error.status, str(error), field=error.field, headers=error.headers)


def _of_request(_: "Request[Any, Any, Any]", error: RequestInvalid | PolicyInvalid) -> Response[Problem]:
    return answer(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), field=error.where)


def _of_cluster(_: "Request[Any, Any, Any]", error: DowndraftError) -> Response[Problem]:
    """The cluster is away, or leaderless: it may be asked again."""
    return answer(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "2"})


def _of_broker(_: "Request[Any, Any, Any]", error: BrokerError) -> Response[Problem]:
    """Its own words are about streams and subjects."""
    said = f"the broker is in trouble: ask again in a moment ({error})"
    return answer(HTTPStatus.SERVICE_UNAVAILABLE, said, headers={"Retry-After": "2"})


def _of_any(_: "Request[Any, Any, Any]", error: DowndraftError) -> Response[Problem]:
    return answer(HTTPStatus.BAD_REQUEST, str(error))


def _of_body(_: "Request[Any, Any, Any]", error: msgspec.ValidationError) -> Response[Problem]:
    what, _at, where = str(error).partition(" - at `$")
    return answer(HTTPStatus.UNPROCESSABLE_ENTITY, what.replace("`", ""), field=where.rstrip("`").lstrip("."))


def _of_http(_: "Request[Any, Any, Any]", error: HTTPException) -> Response[Problem]:
    """What the framework itself refuses."""
    if isinstance(error.__cause__, SerializationException):
        return answer(HTTPStatus.UNPROCESSABLE_ENTITY, f"the body is not JSON ({error.detail})")
    detail, field, status = error.detail, "", error.status_code
    if isinstance(error, ValidationException) and isinstance(error.extra, list) and error.extra:
        first = error.extra[0]
        if isinstance(first, dict):
            detail, field = str(first.get("message", detail)).replace("`", ""), str(first.get("key", ""))
            if first.get("source") == "body":
                status = HTTPStatus.UNPROCESSABLE_ENTITY
        if field == _BODY:
            detail, field = ("a JSON object is needed as the body" if detail == repr(_BODY) else detail), ""
    headers = dict(error.headers or {})
    if methods := headers.pop("allow", None):
        headers["Allow"] = ", ".join(allowed(methods.split(", ")))
    return answer(status, detail, field=field, headers=headers)


def _of_fault(_: "Request[Any, Any, Any]", error: Exception) -> Response[Problem]:
    log.error("a request failed", problem=str(error), exc_info=error)
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway failed; its log says why")


HANDLERS: dict[Any, Any] = {
    ProblemError: _of_problem,
    RequestInvalid: _of_request,
    PolicyInvalid: _of_request,
    NotSubmitted: _of_cluster,
    Refused: _of_cluster,
    BrokerError: _of_broker,
    DowndraftError: _of_any,
    msgspec.ValidationError: _of_body,
    HTTPException: _of_http,
    Exception: _of_fault,
}
