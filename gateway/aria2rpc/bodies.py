"""Bodies of calls: read before anybody knows who calls, for the key is inside. So few large ones are read at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import anyio
from litestar import Request

from gateway.problems import ProblemError

LARGE_BYTES = 256 << 10
"""More than this in one body: torrents, and lists of calls."""
LARGE_AT_ONCE = 4
"""Large bodies that are read and answered at a time: each has 32 MiB at most, and some times that as values."""
ROOM_WITHIN_S = 10.0
"""For so long a large body waits for its turn."""
READ_WITHIN_S = 60.0
"""A body that is not there by then does not come."""

AnyRequest = Request[Any, Any, Any]


class Bodies:
    """One for each process."""

    def __init__(self) -> None:
        self._room = anyio.CapacityLimiter(LARGE_AT_ONCE)

    def __repr__(self) -> str:
        return f"<Bodies {self._room.borrowed_tokens:g} of {LARGE_AT_ONCE}>"

    @asynccontextmanager
    async def body(self, request: AnyRequest) -> AsyncIterator[bytes]:
        """A request's body, which is answered in the block. Raises ProblemError."""
        if request.user.scopes or not _is_large(request):
            yield await _read(request)
            return
        with anyio.move_on_after(ROOM_WITHIN_S) as patience:
            await self._room.acquire_on_behalf_of(request)
        if patience.cancelled_caught:
            said = "too many large requests come at once: ask again in a moment, or show the key in a header"
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, said, headers={"Retry-After": "5"})
        try:
            yield await _read(request)
        finally:
            self._room.release_on_behalf_of(request)


async def _read(request: AnyRequest) -> bytes:
    with anyio.move_on_after(READ_WITHIN_S):
        return await request.body()
    raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, f"the body was not there within {READ_WITHIN_S:g} seconds")


def _is_large(request: AnyRequest) -> bool:
    said = request.headers.get("content-length", "")
    return not said.isdigit() or int(said) > LARGE_BYTES
