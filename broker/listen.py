"""Core subscriptions: what is published now, to whoever listens now. Each has a stored truth behind it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio
from nats.aio.msg import Msg

from broker.connection import Connection


class Heard(NamedTuple):
    subject: str
    data: bytes
    headers: Mapping[str, str]


@asynccontextmanager
async def listening(connection: Connection, subject: str, hear: Callable[[Heard], None]) -> AsyncIterator[None]:
    """Call `hear` for each message for the length of the block. It must not block, nor raise."""

    async def received(msg: Msg) -> None:
        hear(Heard(msg.subject, msg.data, msg.headers or {}))

    subscription = await connection.client.subscribe(subject, cb=received)
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            await subscription.unsubscribe()
