"""Whoever a request itself says it is from: a header's key, for those whose calls carry no secret."""

from gateway.access import AnyConnection, known_caller
from gateway.callers import Caller
from gateway.origins import is_of_ours
from gateway.problems import ProblemError

NOBODY = Caller("", "", ())


def shown_by(connection: AnyConnection) -> Caller:
    """Nobody, where a page of another origin, or an address alone, might speak with what a browser adds by itself."""
    caller: Caller = connection.user
    headers = connection.headers
    if "x-api-key" in headers or headers.get("authorization", "").lower().startswith("bearer "):
        return caller  # no page adds these unless it was let
    if connection.scope.get("method") == "GET":
        # Its key, and not what a browser adds: any page may have any address asked for.
        return caller if "api_key" in connection.query_params and "authorization" not in headers else NOBODY
    return caller if is_of_ours(connection) else NOBODY


def shown_to_socket(socket: AnyConnection) -> Caller:
    """The same for a socket; a client that can set no header names its key in the address, where that is allowed."""
    asked = socket.query_params.get("api_key") or socket.query_params.get("token")
    if asked and not socket.user.scopes and socket.app.state.gateway.settings.key_in_query:
        try:
            return known_caller(socket.app.state.gateway, str(asked))
        except ProblemError:
            return NOBODY
    return shown_by(socket)


def host_of(connection: AnyConnection) -> str:
    """The address that it came from; empty where a proxy stands between, whose address is everybody's."""
    if connection.client is None or "x-forwarded-for" in connection.headers or "forwarded" in connection.headers:
        return ""
    return connection.client.host
