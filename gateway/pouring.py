"""Answers whose bodies come bit by bit: written as fast as they are read, and no further ahead than that."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar

import anyio
import structlog
from anyio import CancelScope
from litestar import Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

log = structlog.get_logger()

STUCK_S = 60.0
"""A client that takes nothing for so long has gone, or holds what others could have."""


class Stuck(Exception):
    """The client takes nothing any more."""


class Write:
    """Sends a part of the body; returns once there is room for the next."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.waited_s = 0.0
        """How long a part had to wait, at most, for the client to take those before it. Whoever looks begins anew."""

    async def __call__(self, data: bytes) -> None:
        """Raises Stuck."""
        began = anyio.current_time()
        with anyio.move_on_after(STUCK_S) as scope:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        if scope.cancelled_caught:
            raise Stuck
        self.waited_s = max(self.waited_s, anyio.current_time() - began)


Pour = Callable[[Write], Awaitable[bool]]
"""Writes the body. False: it broke off, and so shall the connection, for the client must not take it for whole.

Cancelled when the client leaves."""


class _Pouring(ASGIResponse):
    _should_set_content_length: ClassVar[bool] = False

    def __init__(self, pour: Pour, **rest: Any) -> None:
        super().__init__(**rest)
        self._pour = pour

    async def send_body(self, send: Send, receive: Receive) -> None:
        is_whole = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
            try:
                is_whole = await self._pour(Write(send))
            except Stuck:
                log.info("an answer was broken off: its client took nothing", seconds=STUCK_S)
            tasks.cancel_scope.cancel()
        if is_whole:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cancel_when_gone(receive: Receive, scope: CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


class Poured(Response[bytes]):
    """An answer with such a body."""

    def __init__(self, pour: Pour, *, media_type: str, headers: dict[str, str], status_code: int = 200) -> None:
        super().__init__(b"", media_type=media_type, headers=headers, status_code=status_code)
        self._pour = pour

    def to_asgi_response(
        self,
        app: Any,
        request: Request[Any, Any, Any],
        *,
        cookies: Iterable[Any] | None = None,
        headers: dict[str, str] | None = None,
        **_: Any,
    ) -> ASGIResponse:
        return _Pouring(
            self._pour,
            headers={**(headers or {}), **self.headers},
            is_head_response=request.method == "HEAD",
            media_type=self.media_type,
            status_code=self.status_code,
        )
