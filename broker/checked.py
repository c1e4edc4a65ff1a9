"""Reads that a decision may rest on: through the stream's leader, never from a replica that may lag."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import anyio
import msgspec
from msgspec import Struct

from broker.connection import Answer, Connection
from broker.errors import NO_MESSAGE, ApiRefused, BrokerError, Unanswered

RETRY_S = 0.25

Query = Mapping[str, str | int]
"""As the JetStream API wants it: `{"last_by_subj": …}`, or `{"seq": n, "next_by_subj": …}`."""


class StoredMessage(NamedTuple):
    sequence: int
    data: bytes
    stored_at: float
    """Unix seconds, the broker's clock."""


class _Message(Struct):
    seq: int
    time: str
    data: str = ""


class _Found(Answer):
    message: _Message | None = None


_found = msgspec.json.Decoder(_Found)


async def get_all(
    connection: Connection, stream: str, queries: Sequence[Query]
) -> list[StoredMessage | BrokerError | None]:
    """One message of a stream for each query, at once; None where there is none, an error where it is not known."""
    return [_read(answer) for answer in await connection.api_all(f"STREAM.MSG.GET.{stream}", queries, _found)]


async def get(connection: Connection, stream: str, query: Query) -> StoredMessage | None:
    """One message of a stream; None where there is none. Raises Unanswered, ApiRefused."""
    (found,) = await get_all(connection, stream, (query,))
    if isinstance(found, BrokerError):
        raise found
    return found


async def get_patiently(connection: Connection, stream: str, query: Query) -> StoredMessage | None:
    """`get`, waiting out a broker that is away or elects a leader. Raises ApiRefused."""
    while True:
        try:
            return await get(connection, stream, query)
        except Unanswered:
            await anyio.sleep(RETRY_S)


def _read(answer: _Found | BrokerError) -> StoredMessage | BrokerError | None:
    if isinstance(answer, ApiRefused) and answer.code == NO_MESSAGE:
        return None
    if isinstance(answer, BrokerError):
        return answer
    message = answer.message
    if message is None:
        return Unanswered("an answer without a message")
    stored_at = datetime.fromisoformat(message.time).timestamp()
    return StoredMessage(message.seq, base64.b64decode(message.data), stored_at)
