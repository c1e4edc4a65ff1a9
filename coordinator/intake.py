"""Reading a consumer to the end of a term: a bounded number in hand, and one ack or nak for each message."""

from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog

from broker import pull
from broker.errors import BrokerError, StoreFull, Unreadable
from broker.pace import Pace
from broker.pull import Delivery, Pull
from coordinator.term import Term

log = structlog.get_logger()

BATCH = 256
IN_FLIGHT = 256
"""Messages being acted on at once: each costs a few calls to the broker."""
ACK_WAIT_S = 30
RETRY_S = 0.5
FULL_RETRY_S = 5.0

Act = Callable[[Term, Sequence[Delivery]], Awaitable[list[BrokerError | None]]]
"""Carries out what messages ask for, as many as came together: for each, None if it may be acked now."""


class InHand:
    """Counts the messages being acted on, and waits while there are too many."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._settled = anyio.Event()

    async def room(self) -> int:
        """How many more may be taken; waits until that is at least one."""
        while self._count >= self._limit:
            self._settled = anyio.Event()
            await self._settled.wait()
        return self._limit - self._count

    def take(self, count: int) -> None:
        self._count += count

    def settle(self, count: int) -> None:
        self._count -= count
        self._settled.set()


async def take_in(
    term: Term,
    stream: str,
    open_consumer: Callable[[Term], Awaitable[str]],
    act: Act,
    *,
    ready: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Read for the length of the term; a consumer that is gone is opened again. `ready` may hold up the next read."""
    in_hand = InHand(IN_FLIGHT)
    pace = Pace()

    async def some(reader: Pull, deliveries: Sequence[Delivery]) -> None:
        try:
            await settle(term, reader, deliveries, act)
        finally:
            in_hand.settle(len(deliveries))

    async with anyio.create_task_group() as tasks:
        while True:
            try:
                name = await open_consumer(term)
                async with pull.reading(term.connection, stream, name, batch=BATCH) as reader:
                    while True:
                        if ready is not None:
                            await ready()
                        room = await in_hand.room()
                        if (delivery := await reader.next()) is not None:
                            await pace.breathe()
                            deliveries = [delivery, *reader.ready(room - 1)]
                            in_hand.take(len(deliveries))
                            tasks.start_soon(some, reader, deliveries)
            except BrokerError as error:
                log.warning("reading was interrupted, trying again", stream=stream, problem=str(error))
                await anyio.sleep(RETRY_S)


async def settle(term: Term, reader: Pull, deliveries: Sequence[Delivery], act: Act) -> int:
    """Act on messages and ack them; where the broker is in trouble, ask for them again later. How many were acked."""
    waits: list[tuple[Delivery, BrokerError]] = []
    for delivery, error in zip(deliveries, await act(term, deliveries), strict=True):
        if error is None:
            await reader.ack(delivery)
        else:
            waits.append((delivery, error))
            await reader.nak(delivery, FULL_RETRY_S if isinstance(error, StoreFull | Unreadable) else RETRY_S)
    if waits:
        delivery, error = waits[0]
        log.warning("messages wait", count=len(waits), subject=delivery.subject, problem=str(error))
    return len(deliveries) - len(waits)
