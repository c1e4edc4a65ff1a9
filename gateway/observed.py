"""Around the whole application: a line of the log for each request, its latency, and headers that all answers have."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import Requests

log = structlog.get_logger()

HEADERS: dict[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}
"""What an answer says unless its route says otherwise: it is no page, and nobody keeps it."""
UNKNOWN = "unknown"
"""Stands in metrics for every path that is no route: whoever asks must not make up names."""
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
PATH_CHARS_MAX = 200
"""Of a path in the log."""
SWITCHED = 101
GONE = 499
"""The status in the log of a request whose client left before it was answered."""
HEALTH = frozenset(("/healthz", "/readyz"))
"""Asked every few seconds by whatever watches this process."""


class Observed:
    """An application, looked at from outside: what is refused before any route is seen, too."""

    def __init__(self, app: ASGIApp, requests: Requests, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._requests = requests
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Observed {self._app!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began = self._clock()
        status, sent, answered_s = GONE, 0, 0.0

        async def sending(message: Message) -> None:
            nonlocal status, sent, answered_s
            match message["type"]:
                case "http.response.start":
                    status, answered_s = message["status"], self._clock() - began
                    message["headers"] = with_defaults(list(message.get("headers", ())))
                case "http.response.body":
                    sent += len(message.get("body", b""))
                case "websocket.accept":
                    status, answered_s = SWITCHED, self._clock() - began
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            # A stream may last for hours: its latency is how soon it began.
            self._requests.ended(_method(scope), _template(scope), status, answered_s or self._clock() - began)
            _tell(scope, status, sent, self._clock() - began)


def with_defaults(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers of an answer, completed."""
    named = {name.lower() for name, _ in headers}
    return headers + [(name, value) for name, value in HEADERS.items() if name not in named]


def _method(scope: Scope) -> str:
    method = str(scope.get("method", "WEBSOCKET"))
    return method if method in METHODS or method == "WEBSOCKET" else UNKNOWN


def _template(scope: Scope) -> str:
    """The route as it is declared; `/api/v1/tasks/{task}`."""
    return str(scope.get("path_template") or UNKNOWN) if "route_handler" in scope else UNKNOWN


def _tell(scope: Scope, status: int, sent: int, seconds: float) -> None:
    """Without the query: keys may stand in it. The log's own format keeps line ends in a path from making lines."""
    caller: Any = scope.get("user")
    client: Any = scope.get("client")
    is_news = status != HTTPStatus.OK or _template(scope) not in HEALTH
    (log.info if is_news else log.debug)(
        "request",
        method=_method(scope),
        path=str(scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or scope["path"])[:PATH_CHARS_MAX],
        status=status,
        ms=round(seconds * 1000, 1),
        bytes=sent,
        key=caller.key if caller else "",
        owner=caller.owner if caller else "",
        client=client[0] if client else "",
    )
