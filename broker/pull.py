"""Reading a stream through a consumer, with raw pull requests.

A live subscription may die silently, so each pull has an expiry: after it there is always an answer, or the
consumer is asked again, and one that is gone says so.
"""

import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import structlog
from msgspec import Struct
from nats.aio.msg import Msg

from broker import consumers
from broker.client import ACK, Handed, at_once
from broker.connection import API, Connection
from broker.consumers import NS
from broker.errors import ConsumerGone, Unanswered

log = structlog.get_logger()

PULL_EXPIRES_S = 2.0
PULL_GRACE_S = 1.5
SNAPSHOT_BATCH = 4000
"""Asked for at once. Each costs a round trip: the server refuses a further one (408) while it serves one that does
not wait."""
SNAPSHOT_BYTES = 16 << 20
"""Of a batch at most: a thousand of the largest rows would be half a gigabyte."""
SNAPSHOT_PATIENCE_S = 10.0
"""For an answer: a crowded server takes seconds to begin with a million rows, and to begin anew helps nobody.
Where the connection was lost meanwhile, or the consumer is gone, that is known at once."""
SNAPSHOT_STEP = 250
"""Dealt with in one go, before others may run: some 5 ms of rows that are news."""

_STATUS = "Status"
NOTHING_MORE = "404"
ALL_SENT = "batch completed"
"""Said, of a request that counts bytes, after its last message: that one was counted already."""
TOO_MANY_BYTES = "exceeds maxbytes"
"""Said where the next message does not fit what was asked for: ask again."""


class Delivery(Struct, frozen=True, gc=False):
    """One stored message as delivered to a consumer."""

    subject: str
    data: bytes
    headers: Mapping[str, str]
    reply: str
    sequence: int
    stored_ns: int
    delivered: int
    """How often it was delivered, this time included."""
    pending: int
    """Messages of this consumer that were still to come."""
    number: int = 0
    """The consumer's own count of its deliveries, from 1: a gap shows that one was lost."""

    @property
    def stored_at(self) -> float:
        """Store time in Unix seconds: the broker's clock."""
        return self.stored_ns / NS


def parse_delivery(msg: Msg | Handed) -> Delivery:
    """Read the ack subject: `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<delivered>.<seq>.<…>`."""
    tokens = msg.reply.split(".")
    if len(tokens) >= 11:
        tokens = [*tokens[:2], *tokens[4:]]
    delivered, sequence, number, stored_ns, pending = map(int, tokens[4:9])
    headers = {} if msg.headers is None else msg.headers
    return Delivery(msg.subject, msg.data, headers, msg.reply, sequence, stored_ns, delivered, pending, number)


class Pull:
    """An open reader of one consumer; make it with `reading`."""

    def __init__(
        self, connection: Connection, stream: str, consumer: str, batch: int, inbox: str, *, bytes_max: int = 0
    ) -> None:
        self._connection = connection
        self._next_subject = f"{API}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._where = f"{stream}/{consumer}"
        self._batch = batch
        self._bytes_max = bytes_max
        self._inbox = inbox
        self._left = 0
        # Bounded by what was asked for: a batch, its status lines and those of an overtaken request.
        self._received: deque[Msg | Handed | None] = deque()
        self._arrived = anyio.Event()

    @at_once
    async def take(self, msg: Msg | Handed) -> None:
        self._received.append(msg)
        self._arrived.set()

    def wake(self) -> None:
        """After a reconnect the open request is lost: ask again at once."""
        if not self._received:
            self._received.append(None)
            self._arrived.set()

    async def next(self, *, expires_s: float = PULL_EXPIRES_S, no_wait: bool = False) -> Delivery | None:
        """The next message; None when there was none in time.

        With `no_wait` None means that there is nothing more, and an interruption raises Unanswered.
        Raises ConsumerGone, Unanswered.
        """
        while True:
            if self._left <= 0:
                await self._ask(expires_s, no_wait)
            if not self._received:
                self._arrived = anyio.Event()
                with anyio.move_on_after(expires_s + PULL_GRACE_S):
                    await self._arrived.wait()
            msg = self._received.popleft() if self._received else None
            if msg is None:
                self._left = 0
                if no_wait:
                    raise Unanswered(f"{self._where}: the reading was interrupted")
                return None
            if msg.reply.startswith(ACK):  # its own headers say nothing
                self._left -= 1
                return parse_delivery(msg)
            if self._is_over(msg, no_wait):
                return None

    def ready(self, limit: int) -> list[Delivery]:
        """What is here already, at most so many, without waiting."""
        found: list[Delivery] = []
        while len(found) < limit and self._received and (msg := self._received[0]) is not None:
            if not msg.reply.startswith(ACK):
                break  # a status: `next` sees to it
            self._received.popleft()
            self._left -= 1
            found.append(parse_delivery(msg))
        return found

    def _is_over(self, msg: Msg | Handed, no_wait: bool) -> bool:
        """Whether a status line ends the open request. Raises ConsumerGone, Unanswered."""
        status = msg.headers.get(_STATUS) if msg.headers else None
        description = str((msg.headers or {}).get("Description", ""))
        if status == "100" or description.lower() == ALL_SENT:
            return False
        self._left = 0
        if status == "503":
            raise ConsumerGone(f"{self._where}: nobody answers for this consumer")
        if "consumer deleted" in description.lower():
            raise ConsumerGone(f"{self._where}: the consumer was deleted")
        if TOO_MANY_BYTES in description.lower():
            return False
        if no_wait and status != NOTHING_MORE:
            raise Unanswered(f"{self._where}: the reading was interrupted ({status} {description})")
        return True

    async def ack(self, delivery: Delivery) -> None:
        await self._answer(delivery, b"+ACK")

    async def nak(self, delivery: Delivery, delay_s: float) -> None:
        """Deliver it again after `delay_s`."""
        await self._answer(delivery, b"-NAK " + json.dumps({"delay": int(delay_s * NS)}).encode())

    async def _answer(self, delivery: Delivery, verb: bytes) -> None:
        try:
            await self._connection.publish(delivery.reply, verb)
        except Unanswered:
            log.debug("could not answer a delivery; it will come again", consumer=self._where)

    async def _ask(self, expires_s: float, no_wait: bool) -> None:
        body: dict[str, Any] = {"batch": self._batch}
        body |= {"no_wait": True} if no_wait else {"expires": int(expires_s * NS)}
        body |= {"max_bytes": self._bytes_max} if self._bytes_max else {}
        await self._connection.publish(self._next_subject, json.dumps(body).encode(), reply=self._inbox)
        self._left = self._batch


@asynccontextmanager
async def reading(
    connection: Connection, stream: str, consumer: str, *, batch: int, bytes_max: int = 0
) -> AsyncIterator[Pull]:
    """Read `consumer` for the length of the block, at most `batch` messages ahead, and `bytes_max` bytes (0: any)."""
    inbox = connection.client.new_inbox()
    pull = Pull(connection, stream, consumer, batch, inbox, bytes_max=bytes_max)
    subscription = await connection.client.subscribe(inbox, cb=pull.take)
    stop_waking = connection.on_reconnect(pull.wake)
    try:
        yield pull
    finally:
        stop_waking()
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            await subscription.unsubscribe()


class Snapshot:
    """All messages under one filter, as one replica had them: read while they come, and no further ahead than that.

    A reading that ends by an error has shown some of them, and nothing follows from what it did not show.
    """

    def __init__(self, pull: Pull, pending: int, *, authoritative: bool) -> None:
        self._pull = pull
        self.pending = pending
        """How many there were when it began."""
        self.is_whole = pending == 0
        """Everything was shown. The rest is known only then."""
        self.at_least = 0
        """The replica had seen at least this sequence of the stream."""
        self.authoritative = authoritative
        """A single server answered: there is no replica that could lag."""

    def __repr__(self) -> str:
        return f"<Snapshot {'whole' if self.is_whole else 'being read'}, at least {self.at_least}>"

    async def batches(self) -> AsyncIterator[list[Delivery]]:
        """Some at a time, in the order of their sequences, each batch once the one before is dealt with.

        Raises ConsumerGone, and Unanswered where the reading was interrupted.
        """
        number = 0
        while not self.is_whole:
            first = await self._pull.next(no_wait=True, expires_s=SNAPSHOT_PATIENCE_S)
            if first is None:
                self.is_whole = True
                return
            batch = [first, *self._pull.ready(SNAPSHOT_STEP - 1)]
            if batch[-1].number != number + len(batch):
                raise Unanswered("the reading was interrupted: some of it was lost on the way")
            number = batch[-1].number
            self.at_least = max(self.at_least, batch[-1].sequence)
            self.is_whole = batch[-1].pending == 0
            yield batch

    async def all(self) -> list[Delivery]:
        """Everything at once, for readings that are known to be small. Raises ConsumerGone, Unanswered."""
        return [delivery async for batch in self.batches() for delivery in batch]


@asynccontextmanager
async def snapshot(
    connection: Connection, stream: str, *filters: str, name: str = "", after: int | None = None
) -> AsyncIterator[Snapshot]:
    """Read the last message of each subject under `filters` that is stored now; with `after` all that come after that
    sequence. Raises ConsumerGone, ApiRefused, Unanswered.

    `name`: the consumer's, where permissions name it; otherwise a fresh one. In a cluster a lagging replica
    may answer: `at_least` is what the answer itself proves of how far that replica was.
    """
    which: dict[str, Any] = {"deliver_policy": "last_per_subject"}
    if after is not None:
        which = {"deliver_policy": "by_start_sequence", "opt_start_seq": after + 1}
    if name:
        await consumers.delete(connection, stream, name)
    made = consumers.short_lived(connection, stream, filters, name=name, is_large=after is not None, **which)
    async with (
        made as (name, info),
        reading(connection, stream, name, batch=SNAPSHOT_BATCH, bytes_max=SNAPSHOT_BYTES) as pull,
    ):
        yield Snapshot(pull, int(info["num_pending"]), authoritative="cluster" not in info)
