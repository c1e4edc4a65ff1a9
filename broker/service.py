"""Request–reply services that `nats micro ls` shows."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import anyio
import structlog
from nats.micro import add_service
from nats.micro.request import Request

from broker.connection import Connection

log = structlog.get_logger()

INBOX = "_INBOX."

Handler = Callable[[str, bytes], Awaitable[bytes]]
"""Takes the request's subject and body, returns the answer's body."""


@asynccontextmanager
async def service(
    connection: Connection, *, name: str, version: str, description: str, endpoints: Mapping[str, Handler]
) -> AsyncIterator[None]:
    """Answer each subject pattern of `endpoints` for the length of the block."""
    running = await add_service(connection.client, name=name, version=version, description=description)
    try:
        for subject, handler in endpoints.items():
            await running.add_endpoint(name=subject.rpartition(".")[2], subject=subject, handler=_answering(handler))
        yield
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            await running.stop()


def _answering(handler: Handler) -> Callable[[Request], Awaitable[None]]:
    async def answer(request: Request) -> None:
        # The caller chose where the answer goes, and we may publish where callers may not: only to an inbox.
        if not request._msg.reply.startswith(INBOX):
            log.warning("a request asks to be answered elsewhere than in an inbox", subject=request.subject)
            return
        await request.respond(await handler(request.subject, request.data))

    return answer
