"""Consumers and pulls without Downdraft's own reading around them: what the server says, as it says it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
from nats.aio.msg import Msg

from broker import consumers, pull
from broker.connection import API, Connection
from broker.consumers import NS
from broker.errors import ApiRefused, BrokerError
from schemas import subjects as s
from tests.harness.waiting import eventually

EPHEMERAL = {"ack_policy": "none", "inactive_threshold": 30 * NS, "mem_storage": True, "num_replicas": 1}
EXPLICIT = {"ack_policy": "explicit"}


class Got(NamedTuple):
    """A message of a pull, or a status (then `sequence` is 0)."""

    status: str
    sequence: int = 0
    delivered: int = 0
    number: int = 0
    """The consumer's own count."""
    pending: int = 0
    subject: str = ""
    data: bytes = b""
    reply: str = ""


def got(msg: Msg) -> Got:
    if not msg.reply:
        headers = msg.headers or {}
        return Got(f"{headers.get('Status')} {headers.get('Description', '')}".split("\n")[0].strip())
    found = pull.parse_delivery(msg)
    number = int(msg.reply.split(".")[6])
    return Got("", found.sequence, found.delivered, number, found.pending, msg.subject, msg.data, msg.reply)


class Reader:
    """Asks one consumer and keeps what comes."""

    def __init__(self, connection: Connection, stream: str, consumer: str, inbox: str) -> None:
        self._connection = connection
        self._next = f"{API}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = inbox
        self._received: list[Got] = []
        self._taken = 0
        self._more = anyio.Event()

    async def take(self, msg: Msg) -> None:
        self._received.append(got(msg))
        self._more.set()

    async def ask(self, batch: int = 10, *, no_wait: bool = False, expires_s: float = 0.0, max_bytes: int = 0) -> None:
        body: dict[str, Any] = {"batch": batch}
        body |= {"no_wait": True} if no_wait else {}
        body |= {"expires": int(expires_s * NS)} if expires_s else {}
        body |= {"max_bytes": max_bytes} if max_bytes else {}
        await self._connection.publish(self._next, json.dumps(body).encode(), reply=self._inbox)

    async def next(self, within_s: float = 5.0) -> Got:
        """The next message or status."""
        with anyio.fail_after(within_s):
            while self._taken == len(self._received):
                self._more = anyio.Event()
                await self._more.wait()
        self._taken += 1
        return self._received[self._taken - 1]

    async def all(self, batch: int = 10) -> list[Got]:
        """What is there now, with the status that ends it, if one does."""
        await self.ask(batch, no_wait=True)
        found = [await self.next()]
        while not found[-1].status and len(found) < batch:
            found.append(await self.next())
        return found

    async def silent(self, for_s: float) -> bool:
        """Whether nothing comes for so long."""
        await anyio.sleep(for_s)
        return self._taken == len(self._received)

    async def answer(self, one: Got, verb: bytes) -> None:
        """Ack, nak or term."""
        await self._connection.publish(one.reply, verb)


@asynccontextmanager
async def reading(connection: Connection, stream: str, consumer: str) -> AsyncIterator[Reader]:
    inbox = connection.client.new_inbox()
    reader = Reader(connection, stream, consumer, inbox)
    subscription = await connection.client.subscribe(inbox, cb=reader.take)
    yield reader
    await subscription.unsubscribe()


async def consumer(connection: Connection, stream: str, name: str, *filters: str, **config: Any) -> dict[str, Any]:
    """Create one; durable where it has explicit acks."""
    if config.get("ack_policy") == "explicit":
        config["durable_name"] = name
    return await consumers.create(connection, stream, name, filters, **config)


async def info(connection: Connection, stream: str, name: str) -> dict[str, int]:
    """A consumer's counts by short names."""
    told = await connection.api(f"CONSUMER.INFO.{stream}.{name}")
    return {
        "delivered": told["delivered"]["stream_seq"],
        "number": told["delivered"]["consumer_seq"],
        "floor": told["ack_floor"]["stream_seq"],
        "un_acked": told["num_ack_pending"],
        "pending": told["num_pending"],
        "again": told["num_redelivered"],
    }


async def refused(connection: Connection, call: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    """The code and the words with which a call is refused."""
    try:
        answer = await connection.api(call, body)
    except ApiRefused as error:
        return error.code, str(error)
    raise AssertionError(f"{call} was not refused: {answer}")


async def fate(connection: Connection, subject: str, body: bytes = b"{}", **headers: str) -> int | BrokerError:
    """What became of a write; headers by short names."""
    names = {"expected": s.EXPECTED_SEQUENCE, "of": s.EXPECTED_SUBJECT, "ttl": s.TTL, "id": s.MESSAGE_ID}
    try:
        return await connection.store(subject, body, {names[name]: value for name, value in headers.items()})
    except BrokerError as error:
        return error


async def state(connection: Connection, stream: str) -> dict[str, int]:
    """A stream's counts."""
    told = (await connection.api(f"STREAM.INFO.{stream}"))["state"]
    return {name: told.get(name, 0) for name in ("messages", "bytes", "first_seq", "last_seq", "num_subjects")}


async def settled(connection: Connection) -> None:
    """Return when the server knows of everything sent so far.

    Twice, for nats-py's flush sends its ping ahead of what still waits to be written.
    """
    await connection.client.flush()
    await connection.client.flush()


async def until_waiting(connection: Connection, stream: str, name: str, count: int) -> None:
    """Return when so many requests of a consumer are open: calls may overtake them."""

    async def waiting() -> bool:
        told = await connection.api(f"CONSUMER.INFO.{stream}.{name}")
        return int(told["num_waiting"]) == count

    await eventually(waiting, what=f"{count} open requests")
