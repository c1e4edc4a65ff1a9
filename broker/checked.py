"""Reads that a decision may rest on: through the stream's leader, never from a replica that may lag."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import anyio

from broker.connection import Connection
from broker.errors import NO_MESSAGE, ApiRefused, Unanswered

RETRY_S = 0.25


class StoredMessage(NamedTuple):
    sequence: int
    data: bytes
    stored_at: float
    """Unix seconds, the broker's clock."""


async def get(connection: Connection, stream: str, query: Mapping[str, str | int]) -> StoredMessage | None:
    """One message of a stream; None where there is none. Raises Unanswered, ApiRefused.

    `query` as the JetStream API wants it: `{"last_by_subj": …}`, or `{"seq": n, "next_by_subj": …}`.
    """
    try:
        answer = await connection.api(f"STREAM.MSG.GET.{stream}", query)
    except ApiRefused as error:
        if error.code == NO_MESSAGE:
            return None
        raise
    message = answer["message"]
    data = base64.b64decode(message.get("data", ""))
    return StoredMessage(int(message["seq"]), data, datetime.fromisoformat(message["time"]).timestamp())


async def get_patiently(connection: Connection, stream: str, query: Mapping[str, str | int]) -> StoredMessage | None:
    """`get`, waiting out a broker that is away or elects a leader. Raises ApiRefused."""
    while True:
        try:
            return await get(connection, stream, query)
        except Unanswered:
            await anyio.sleep(RETRY_S)
