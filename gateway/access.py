"""Who may call what: a key in one of the places that HTTP clients can put it, and a scope on each route."""

import base64
import re
import time
from collections.abc import Callable
from typing import Any

import anyio
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from gateway.callers import Caller, caller_of
from gateway.origins import SAFE, is_of_ours
from gateway.problems import ProblemError
from gateway.rates import retry_after
from gateway.service import Gateway
from gateway.tickets import QUERY, opens, read_ticket
from schemas.apikey import Scope, read_secret

OPEN = "open"
"""The scope of routes that ask for no key."""
ANY_KEY = "any"
"""The scope of routes that every valid key opens."""
SCOPE = "scope"
ALONE = "alone"
"""Says of a route that it has something to tell while the broker is away."""
AWAY_FOR_S = 2.0
"""A broker that restarts is back by then."""
_NOBODY = Caller("", "", ())
_NOT_VALID = "this API key is not valid (any more): `downdraft key create` makes one"
_FILE = re.compile(r"/tasks/([0-9a-f]{16})/file\Z")
"""The one kind of address that a ticket opens."""

AnyConnection = ASGIConnection[Any, Any, Any, Any]


class KeyAuthentication(AbstractAuthenticationMiddleware):
    """Makes `request.user` the Caller; nobody, where no key is shown."""

    async def authenticate_request(self, connection: AnyConnection) -> AuthenticationResult:
        gateway: Gateway = connection.app.state.gateway
        try:
            caller = _caller(gateway, connection)
        except ProblemError:
            if connection.route_handler.opt.get(SCOPE) != OPEN:
                raise
            # What opens nothing here may be meant for a proxy before us.
            caller = _NOBODY
        if caller.key:
            charge(gateway, caller)
        return AuthenticationResult(user=caller, auth=None)


def _caller(gateway: Gateway, connection: AnyConnection) -> Caller:
    """Whoever a request is from. Raises ProblemError for a key, or a ticket, that is not valid."""
    shown = shown_key(connection)
    if shown is None:
        return ticket_holder(gateway, connection)
    caller = known_caller(gateway, shown)
    if (owner := shown_owner(connection)) is None:
        return caller
    if owner != caller.owner:
        raise ProblemError(401, "Basic credentials must be the key's own owner and the key")
    if connection.scope.get("method", "GET") not in SAFE and not is_of_ours(connection):
        # A browser adds these by itself, to whatever page asks.
        raise ProblemError(
            403, "a page of another origin may not do that with Basic credentials: gateway.cors_origins allows it"
        )
    return caller


def ticket_holder(gateway: Gateway, connection: AnyConnection) -> Caller:
    """Whoever's ticket is shown, who may then read that one file. Raises ProblemError for one that is not valid."""
    asked, found = connection.query_params.get(QUERY), _FILE.search(connection.url.path)
    if not asked or not found or connection.scope.get("method") not in ("GET", "HEAD"):
        return _NOBODY
    ticket = read_ticket(str(asked))
    key = gateway.keys.get(ticket.key) if ticket is not None else None
    if ticket is None or key is None or not opens(ticket, key, found[1], time.time()):
        raise ProblemError(401, "this address is not valid (any more): ask for another one")
    return caller_of(key)


def charge(gateway: Gateway, caller: Caller, requests: int = 1) -> None:
    """Count requests of a key. Raises ProblemError where there were too many of late."""
    if wait_s := gateway.rates.take(caller.key, anyio.current_time(), requests):
        raise ProblemError(
            429,
            f"this key asks more than {gateway.settings.key_requests_per_s} times a second: ask again after a while",
            headers={"Retry-After": retry_after(wait_s)},
        )


def known_caller(gateway: Gateway, shown: str) -> Caller:
    """Whoever a key belongs to. Raises ProblemError."""
    secret = read_secret(shown)
    key = gateway.keys.find(secret) if secret is not None else None
    if key is None:
        raise ProblemError(401, _NOT_VALID)
    return caller_of(key)


def still_valid(gateway: Gateway, connection: AnyConnection) -> Callable[[], None]:
    """For what is sent for long: raises ProblemError once the key that it is sent for, shown or not, is revoked."""
    key = connection.user.key

    def check() -> None:
        if not gateway.keys.is_valid(key):
            raise ProblemError(401, _NOT_VALID)

    return check


def shown_key(connection: AnyConnection) -> str | None:
    """The key that a request shows: X-API-Key, Bearer, the password of Basic, or `?api_key=` where that is allowed."""
    if key := connection.headers.get("x-api-key"):
        return key
    kind, _, rest = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return rest
    if kind.lower() == "basic":
        return _basic(rest)[1]
    asked = connection.query_params.get("api_key")
    if asked and connection.scope.get("method") == "GET" and connection.app.state.gateway.settings.key_in_query:
        return str(asked)
    return None


def shown_owner(connection: AnyConnection) -> str | None:
    """The user of Basic credentials; None where none are what counts."""
    kind, _, rest = connection.headers.get("authorization", "").partition(" ")
    return _basic(rest)[0] if kind.lower() == "basic" and not connection.headers.get("x-api-key") else None


def _basic(credentials: str) -> tuple[str, str]:
    try:
        owner, _, key = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (ValueError, UnicodeDecodeError) as error:
        raise ProblemError(401, "Basic credentials must be base64 of owner:key") from error
    return owner, key


async def guard(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Each route names its scope in `opt`; one that names none is closed.

    A route that does not say that it can do without the broker is refused while that is away: at once, not when
    everything that it asks for has timed out.
    """
    scope = handler.opt.get(SCOPE, Scope.ADMIN)
    # Which methods a route has anybody may ask; nobody is looked at for that.
    if scope == OPEN or connection.scope.get("method") == "OPTIONS":
        return
    caller: Caller = connection.user
    if not caller.scopes:
        raise ProblemError(401, "show an API key: X-API-Key, Authorization: Bearer, or Basic with it as the password")
    if scope != ANY_KEY and not caller.may(Scope(scope)):
        raise ProblemError(403, f"this key may not do that: it needs the scope {scope!r}")
    broker = connection.app.state.gateway.client.connection
    if not (handler.opt.get(ALONE) or await broker.until_connected(AWAY_FOR_S)):
        raise ProblemError(503, "the broker is away: ask again in a moment", headers={"Retry-After": "2"})
