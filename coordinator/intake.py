"""Reading a consumer to the end of a term: a bounded number in hand, and one ack or nak for each message."""

from collections.abc import Awaitable, Callable

import anyio
import structlog

from broker import pull
from broker.errors import ApiRefused, BrokerError, ConsumerGone, StoreFull, Unanswered, Unreadable
from broker.pull import Delivery, Pull
from coordinator.term import Term

log = structlog.get_logger()

BATCH = 256
IN_FLIGHT = 128
"""Messages being acted on at once: each costs a few calls to the broker."""
ACK_WAIT_S = 30
RETRY_S = 0.5
FULL_RETRY_S = 5.0

Act = Callable[[Term, Delivery], Awaitable[None]]
"""Carries out what a message asks for; it may be acked once this has returned."""


async def take_in(
    term: Term,
    stream: str,
    open_consumer: Callable[[Term], Awaitable[str]],
    act: Act,
    *,
    ready: Callable[[Term], Awaitable[None]] | None = None,
) -> None:
    """Read for the length of the term; a consumer that is gone is opened again. `ready` may hold up the next read."""
    limiter = anyio.CapacityLimiter(IN_FLIGHT)

    async def one(reader: Pull, delivery: Delivery, place: object) -> None:
        try:
            await settle(term, reader, delivery, act)
        finally:
            limiter.release_on_behalf_of(place)

    async with anyio.create_task_group() as tasks:
        while True:
            try:
                name = await open_consumer(term)
                async with pull.reading(term.connection, stream, name, batch=BATCH) as reader:
                    while True:
                        if ready is not None:
                            await ready(term)
                        if (delivery := await reader.next()) is not None:
                            # Wait for a free place *before* starting: what is in hand stays bounded.
                            # Not named by the delivery: a consumer made anew repeats the same ack subject.
                            place = object()
                            await limiter.acquire_on_behalf_of(place)
                            tasks.start_soon(one, reader, delivery, place)
            except (ConsumerGone, Unanswered, ApiRefused) as error:
                log.warning("reading was interrupted, trying again", stream=stream, problem=str(error))
                await anyio.sleep(RETRY_S)


async def settle(term: Term, reader: Pull, delivery: Delivery, act: Act) -> None:
    """Act on one message and ack it; where the broker is in trouble, ask for it again later."""
    try:
        await act(term, delivery)
    except BrokerError as error:
        log.warning("a message waits", subject=delivery.subject, problem=str(error))
        await reader.nak(delivery, FULL_RETRY_S if isinstance(error, StoreFull | Unreadable) else RETRY_S)
    else:
        await reader.ack(delivery)
