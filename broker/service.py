"""Request–reply services that `nats micro ls` shows."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import anyio
import nats.errors
import structlog
from anyio.abc import TaskGroup
from nats.micro.request import Request
from nats.micro.service import Service, ServiceConfig

from broker.connection import Connection

log = structlog.get_logger()

INBOX = "_INBOX."


class Answer(NamedTuple):
    """An answer with headers."""

    body: bytes
    headers: Mapping[str, str] = {}


Handler = Callable[[str, bytes], Awaitable[bytes | Answer | None]]
"""Takes the request's subject and body, returns the answer: its body, or an `Answer` where it needs headers; None where
somebody else will answer."""

_Answering = Callable[[Request], Awaitable[None]]


@asynccontextmanager
async def service(
    connection: Connection,
    *,
    name: str,
    version: str,
    description: str,
    endpoints: Mapping[str, Handler],
    in_flight: int = 1,
    group: str = "q",
) -> AsyncIterator[None]:
    """Answer each subject pattern of `endpoints` for the length of the block, `in_flight` requests of each at once.

    Those that serve under one `group` share the requests; a process that is frozen has its share too, until the
    broker finds out.
    """
    about = ServiceConfig(name=name, version=version, description=description, queue_group=group)
    running = Service(connection.client, about)
    with suppress(nats.errors.Error):  # it flushes: a broker that does not answer now learns of the service later
        await running.start()
    async with anyio.create_task_group() as tasks:
        try:
            for subject, handler in endpoints.items():
                answer = _answering(handler)
                if in_flight > 1:
                    answer = _beside(answer, tasks, in_flight)
                await running.add_endpoint(name=subject.rpartition(".")[2], subject=subject, handler=answer)
            with suppress(nats.errors.Error):  # the broker is away: it learns of the endpoints on reconnect
                await connection.client.flush()  # … and else has learned of them now
            yield
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await running.stop()
            tasks.cancel_scope.cancel()


def _beside(answer: _Answering, tasks: TaskGroup, in_flight: int) -> _Answering:
    """Take the next request while earlier ones are worked on; beyond `in_flight` they wait in the subscription."""
    room = anyio.Semaphore(in_flight)

    async def work(request: Request) -> None:
        try:
            await answer(request)
        except nats.errors.Error as error:
            log.debug("an answer was lost", subject=request.subject, problem=str(error))
        except Exception as error:  # as nats.micro does where it calls a handler itself: a bug ends no process
            log.exception("a request could not be answered", subject=request.subject)
            with suppress(nats.errors.Error):
                await request.respond_error("500", repr(error))
        finally:
            room.release()

    async def begin(request: Request) -> None:
        await room.acquire()
        tasks.start_soon(work, request)

    return begin


def _answering(handler: Handler) -> _Answering:
    async def answer(request: Request) -> None:
        # The caller chose where the answer goes, and we may publish where callers may not: only to an inbox.
        if not request._msg.reply.startswith(INBOX):
            log.warning("a request asks to be answered elsewhere than in an inbox", subject=request.subject)
            return
        answered = await handler(request.subject, request.data)
        if answered is None:
            return
        body, headers = answered if isinstance(answered, Answer) else (answered, {})
        await request.respond(body, dict(headers) or None)

    return answer
