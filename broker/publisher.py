"""Storing many messages over one connection: a bounded number in flight, each answer matched by its token.

`Connection.store` makes a future, a time-out and a subject of its own for each message and awaits them one by one.
Here one subscription takes all answers, and one task looks after what is late. What is not answered is sent again,
so whoever publishes must make a repeat harmless: requests are, for each carries an id.
"""

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import anyio
import structlog
from nats.aio.msg import Msg

from broker import errors
from broker.connection import Connection

log = structlog.get_logger()

WINDOW = 256
"""Messages in flight: several times what a broker stores within one round trip."""
WINDOW_BYTES = 8 << 20
"""… and so many bytes of them, for requests may be large."""
LATE_AFTER_S = 5.0
"""A message not answered by then is sent again."""
PATIENCE_S = 60.0
"""How long a broker may be away, or answer nothing, before that is said."""
LOOK_EVERY_S = 0.25
FULL_WAIT_S = 0.5
FULL_WAIT_MAX_S = 10.0
"""A full stream is tried again after the first, then twice that, up to the second."""

NOT_SENT = -math.inf

K = TypeVar("K")


class _Flying(Generic[K]):
    """A message that is not settled."""

    __slots__ = ("body", "key", "sent_at", "subject")

    def __init__(self, key: K, subject: str, body: bytes) -> None:
        self.key = key
        self.subject = subject
        self.body = body
        self.sent_at = NOT_SENT


class Publisher(Generic[K]):
    """Publishes into a stream; make it with `publishing`. `K` is what the caller calls a message by."""

    def __init__(
        self,
        connection: Connection,
        stored: Callable[[K], None],
        refused: Callable[[K, errors.BrokerError], None],
        full: Callable[[float], None],
        window: int,
    ) -> None:
        self._connection = connection
        self._stored, self._refused, self._full = stored, refused, full
        self._window = window
        self._inbox = connection.client.new_inbox()
        self._flying: dict[str, _Flying[K]] = {}
        self._flying_bytes = 0
        self._count = 0
        self._moved = anyio.Event()
        self._full_wait_s = 0.0
        self._full_until = 0.0
        self._heard_at = anyio.current_time()
        self._send_all = False

    def __repr__(self) -> str:
        return f"<Publisher {len(self._flying)} of {self._window} in flight>"

    @property
    def unsettled(self) -> list[K]:
        """The messages whose fate is not known, oldest first."""
        return [flying.key for flying in self._flying.values()]

    async def put(self, key: K, subject: str, body: bytes) -> None:
        """Send as soon as there is room in the window; `stored` or `refused` tell what became of it."""
        while len(self._flying) >= self._window or (self._flying and self._flying_bytes + len(body) > WINDOW_BYTES):
            self._moved = anyio.Event()
            await self._moved.wait()
        if not self._flying:
            self._heard_at = anyio.current_time()  # silence counts from a question
        self._count += 1
        token = f"{self._count:x}"
        flying = self._flying[token] = _Flying(key, subject, body)
        self._flying_bytes += len(body)
        if not self._full_wait_s:
            await self._send(token, flying)

    async def settle(self) -> None:
        """Return when everything that was put is stored or refused."""
        while self._flying:
            self._moved = anyio.Event()
            await self._moved.wait()

    async def _send(self, token: str, flying: _Flying[K]) -> None:
        if not self._connection.is_connected:
            return  # it would be sent twice: out of the client library's buffer, and by us
        flying.sent_at = anyio.current_time()
        try:
            await self._connection.publish(flying.subject, flying.body, reply=f"{self._inbox}.{token}")
        except errors.ApiRefused as error:
            self._end(token, error)
        except errors.Unanswered as error:
            log.debug("not sent, will be again", problem=str(error))

    async def answered(self, msg: Msg) -> None:
        token = msg.subject.rpartition(".")[2]
        flying = self._flying.get(token)
        if flying is None:  # the answer to an earlier try
            return
        if not msg.data:
            return  # no stream listens just now; it is sent again when it is late
        try:
            problem = json.loads(msg.data).get("error")
        except ValueError:
            log.debug("no acknowledgement", answer=msg.data[:80])
            return
        error = errors.refusal(flying.subject, problem.get("err_code", 0), problem["description"]) if problem else None
        if isinstance(error, errors.Unanswered):
            return
        self._heard_at = anyio.current_time()
        if isinstance(error, errors.StoreFull):
            flying.sent_at = NOT_SENT
            self._note_full()
            return
        if error is None:
            self._full_wait_s = self._full_until = 0.0
        self._end(token, error)

    def _end(self, token: str, error: errors.BrokerError | None) -> None:
        flying = self._flying.pop(token)
        self._flying_bytes -= len(flying.body)
        if error is None:
            self._stored(flying.key)
        else:
            self._refused(flying.key, error)
        self._moved.set()

    def _note_full(self) -> None:
        now = anyio.current_time()
        if now < self._full_until:
            return  # an answer of the same round
        self._full_wait_s = min(FULL_WAIT_MAX_S, 2 * self._full_wait_s or FULL_WAIT_S)
        self._full_until = now + self._full_wait_s
        self._full(self._full_wait_s)

    def _reconnected(self) -> None:
        self._send_all = True

    async def look_after(self) -> None:
        """Send again what is late or was refused for want of room, until cancelled. Raises Unanswered."""
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            now = anyio.current_time()
            if self._flying and now - self._heard_at > PATIENCE_S:
                raise errors.Unanswered(f"the broker has not answered for {PATIENCE_S:g} s")
            if not self._connection.is_connected or now < self._full_until:
                continue
            send_all, self._send_all = self._send_all, False
            for token, flying in tuple(self._flying.items()):
                # In between it may have been answered.
                if (send_all or now - flying.sent_at > LATE_AFTER_S) and token in self._flying:
                    await self._send(token, flying)


@asynccontextmanager
async def publishing(
    connection: Connection,
    *,
    stored: Callable[[K], None],
    refused: Callable[[K, errors.BrokerError], None],
    full: Callable[[float], None] = lambda _wait_s: None,
    window: int = WINDOW,
) -> AsyncIterator[Publisher[K]]:
    """Publish for the length of the block; leaving it does not wait: call `settle` for that.

    `stored` and `refused` are called once for each message, `full` each time that the stream has no room, with
    the seconds until the next try. None of them may block or raise. A broker that stays silent for PATIENCE_S
    ends the block with Unanswered; `unsettled` then names what is not known to be stored.
    """
    publisher: Publisher[K] = Publisher(connection, stored, refused, full, window)
    subscription = await connection.client.subscribe(f"{publisher._inbox}.*", cb=publisher.answered)
    stop_telling = connection.on_reconnect(publisher._reconnected)
    failed: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publisher.look_after)
            yield publisher
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        failed = group.exceptions[0] if len(group.exceptions) == 1 else group
    finally:
        stop_telling()
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            await subscription.unsubscribe()
    if failed is not None:
        raise failed
