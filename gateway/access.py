"""Who may call what: a key in one of the places that HTTP clients can put it, and a scope on each route."""

import base64
import binascii
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from gateway.callers import Caller, caller_of
from gateway.problems import ProblemError
from gateway.service import Gateway
from schemas.apikey import Scope, read_secret

OPEN = "open"
"""The scope of routes that ask for no key."""
SCOPE = "scope"
_NOBODY = Caller("", "", ())

AnyConnection = ASGIConnection[Any, Any, Any, Any]


class KeyAuthentication(AbstractAuthenticationMiddleware):
    """Makes `request.user` the Caller; nobody, where no key is shown."""

    async def authenticate_request(self, connection: AnyConnection) -> AuthenticationResult:
        shown = shown_key(connection)
        if shown is None:
            return AuthenticationResult(user=_NOBODY, auth=None)
        return AuthenticationResult(user=known_caller(connection.app.state.gateway, shown), auth=None)


def known_caller(gateway: Gateway, shown: str) -> Caller:
    """Whoever a key belongs to. Raises ProblemError."""
    secret = read_secret(shown)
    key = gateway.keys.find(secret) if secret is not None else None
    if key is None:
        raise ProblemError(401, "this API key is not valid (any more): `downdraft key create` makes one")
    return caller_of(key)


def shown_key(connection: AnyConnection) -> str | None:
    """The key that a request shows: X-API-Key, Bearer, the password of Basic, or `?api_key=` where that is allowed."""
    if key := connection.headers.get("x-api-key"):
        return key
    kind, _, rest = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return rest
    if kind.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ProblemError(401, "Basic credentials must be base64 of owner:key") from error
    asked = connection.query_params.get("api_key")
    if asked and connection.scope.get("method") == "GET" and connection.app.state.gateway.settings.key_in_query:
        return str(asked)
    return None


def guard(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Each route names its scope in `opt`; one that names none is closed."""
    scope = handler.opt.get(SCOPE, Scope.ADMIN)
    if scope == OPEN:
        return
    caller: Caller = connection.user
    if not caller.scopes:
        raise ProblemError(
            401,
            "show an API key: X-API-Key, Authorization: Bearer, or Basic with it as the password",
            headers={"WWW-Authenticate": 'Bearer realm="downdraft"'},
        )
    if not caller.may(Scope(scope)):
        raise ProblemError(403, f"this key may not do that: it needs the scope {scope!r}")
