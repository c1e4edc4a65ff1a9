"""Whoever a request itself says it is from: a header's key, for those whose calls carry no secret."""

from urllib.parse import urlsplit

from gateway.access import AnyConnection
from gateway.callers import Caller

NOBODY = Caller("", "", ())


def shown_by(connection: AnyConnection) -> Caller:
    """Nobody, where a page of another origin, or an address alone, might speak with what a browser adds by itself."""
    caller: Caller = connection.user
    headers = connection.headers
    if "x-api-key" in headers or headers.get("authorization", "").lower().startswith("bearer "):
        return caller  # no page adds these unless it was let
    if connection.scope.get("method") == "GET":
        return NOBODY
    origin = headers.get("origin")
    if origin is None or urlsplit(origin).netloc == headers.get("host"):
        return caller
    allowed = connection.app.state.gateway.settings.cors_origins
    return caller if origin in allowed else NOBODY
