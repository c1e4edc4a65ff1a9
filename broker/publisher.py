"""Storing many messages over one connection: a bounded number in flight, several windows of them at once.

What is not answered is stored again, so whoever publishes must make a repeat harmless: requests are, for each
carries an id.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from typing import Generic, TypeVar

import anyio
import structlog

from broker import errors
from broker.connection import Connection
from broker.exchange import Ask

log = structlog.get_logger()

WINDOW = 256
"""Messages in flight: several times what a broker stores within one round trip."""
WINDOW_BYTES = 2 << 20
"""… and so many bytes of them, for requests may be large."""
LATE_AFTER_S = 15.0
"""What is not answered by then is sent again: long enough for such a window over a line of 2 Mbit/s."""
SENDERS = 4
"""Each has a part of them on the way, so that the broker has work while the answers to others are read."""
AT_ONCE = WINDOW // SENDERS
PATIENCE_S = 60.0
"""How long a broker may be away, or answer nothing, before that is said."""
LOOK_EVERY_S = 0.25
FULL_WAIT_S = 0.5
FULL_WAIT_MAX_S = 10.0
"""A full stream is tried again after the first, then twice that, up to the second."""

K = TypeVar("K")


class Publisher(Generic[K]):
    """Publishes into a stream; make it with `publishing`. `K` is what the caller calls a message by."""

    def __init__(
        self,
        connection: Connection,
        stored: Callable[[K], None],
        refused: Callable[[K, errors.BrokerError], None],
        full: Callable[[float], None],
    ) -> None:
        self._connection = connection
        self._stored, self._refused, self._full = stored, refused, full
        self._unsettled: dict[int, tuple[K, Ask]] = {}
        self._unsettled_bytes = 0
        self._to_send: list[int] = []
        """A heap: what came first goes first, also when it goes again."""
        self._count = 0
        self._moved = anyio.Event()
        self._full_wait_s = 0.0
        self._full_until = 0.0
        self._heard_at = anyio.current_time()

    def __repr__(self) -> str:
        return f"<Publisher {len(self._unsettled)} of {WINDOW} in flight>"

    @property
    def unsettled(self) -> list[K]:
        """The messages whose fate is not known, oldest first."""
        return [key for key, _ in self._unsettled.values()]

    async def put(self, key: K, subject: str, body: bytes) -> None:
        """Send as soon as there is room in the window; `stored` or `refused` tell what became of it."""
        while len(self._unsettled) >= WINDOW or (self._unsettled and self._unsettled_bytes + len(body) > WINDOW_BYTES):
            await self._moved.wait()
        if not self._unsettled:
            self._heard_at = anyio.current_time()  # silence counts from a question
        self._count += 1
        self._unsettled[self._count] = key, Ask(subject, body)
        self._unsettled_bytes += len(body)
        heappush(self._to_send, self._count)
        if len(self._to_send) == 1:
            self._move()

    async def settle(self) -> None:
        """Return when everything that was put is stored or refused."""
        while self._unsettled:
            await self._moved.wait()

    async def send(self) -> None:
        """Store what waits, some at once, until cancelled. Several of these may run."""
        while True:
            if not self._to_send:
                await self._moved.wait()
            elif anyio.current_time() < self._full_until or not self._connection.is_connected:
                await anyio.sleep(LOOK_EVERY_S)
            else:
                await self._send_some()

    async def watch(self) -> None:
        """Wait until the broker has been silent for too long. Raises Unanswered."""
        while not self._unsettled or anyio.current_time() - self._heard_at <= PATIENCE_S:
            await anyio.sleep(LOOK_EVERY_S)
        raise errors.Unanswered(f"the broker has not answered for {PATIENCE_S:g} s")

    async def _send_some(self) -> None:
        numbers = [heappop(self._to_send) for _ in range(min(AT_ONCE, len(self._to_send)))]
        fates = await self._stored_or_not([self._unsettled[number][1] for number in numbers])
        for number, fate in zip(numbers, fates, strict=True):
            if isinstance(fate, errors.Unanswered | errors.StoreFull):
                heappush(self._to_send, number)
            else:
                self._end(number, fate)
        unsure = [fate for fate in fates if isinstance(fate, errors.Unanswered)]
        if len(unsure) < len(fates):
            self._heard_at = anyio.current_time()
        if any(isinstance(fate, int) for fate in fates):
            self._full_wait_s = self._full_until = 0.0
        if any(isinstance(fate, errors.StoreFull) for fate in fates):
            self._note_full()
        self._move()
        if unsure:
            log.debug("not known to be stored, sent again", problem=str(unsure[0]))
            await anyio.sleep(LOOK_EVERY_S)

    async def _stored_or_not(self, asks: list[Ask]) -> list[int | errors.BrokerError]:
        """What became of each; of none it is known where the connection was lost meanwhile."""
        fates: list[int | errors.BrokerError] = [errors.Unanswered("the connection was lost")] * len(asks)
        with anyio.CancelScope() as scope:
            forget = self._connection.on_reconnect(scope.cancel)
            try:
                fates = await self._connection.store_all(asks, timeout_s=LATE_AFTER_S)
            finally:
                forget()
        return fates

    def _end(self, number: int, fate: int | errors.BrokerError) -> None:
        key, ask = self._unsettled.pop(number)
        self._unsettled_bytes -= len(ask.body)
        if isinstance(fate, errors.BrokerError):
            self._refused(key, fate)
        else:
            self._stored(key)

    def _move(self) -> None:
        """Wake whoever waits for room, for work or for the end."""
        self._moved.set()
        self._moved = anyio.Event()

    def _note_full(self) -> None:
        now = anyio.current_time()
        if now < self._full_until:
            return  # other senders' answers of the same round
        self._full_wait_s = min(FULL_WAIT_MAX_S, 2 * self._full_wait_s or FULL_WAIT_S)
        self._full_until = now + self._full_wait_s
        self._full(self._full_wait_s)


@asynccontextmanager
async def publishing(
    connection: Connection,
    *,
    stored: Callable[[K], None],
    refused: Callable[[K, errors.BrokerError], None],
    full: Callable[[float], None] = lambda _wait_s: None,
) -> AsyncIterator[Publisher[K]]:
    """Publish for the length of the block; leaving it does not wait: call `settle` for that.

    `stored` and `refused` are called once for each message, `full` each time that the stream has no room, with
    the seconds until the next try. None of them may block or raise. A broker that stays silent for PATIENCE_S
    ends the block with Unanswered; `unsettled` then names what is not known to be stored.
    """
    publisher: Publisher[K] = Publisher(connection, stored, refused, full)
    failed: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publisher.watch)
            for _ in range(SENDERS):
                tasks.start_soon(publisher.send)
            yield publisher
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        failed = group.exceptions[0] if len(group.exceptions) == 1 else group
    if failed is not None:
        raise failed
