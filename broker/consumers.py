"""Making consumers of streams, and taking them away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import anyio
import structlog

from broker.connection import Connection
from broker.errors import CONSUMER_NOT_FOUND, ApiRefused, BrokerError, Unanswered

log = structlog.get_logger()

COUNTED_TRIES = 12
"""Of five seconds each: the server counts what a new consumer has before it, which took it longer than that for two
million messages on a crowded machine."""
COUNTED_AGAIN_S = 5.0
"""The server finds what it has made meanwhile; and where it died, nobody waits a minute for it."""
EPHEMERAL_FOR_S = 30
"""How long the server keeps a consumer that nobody reads."""
TAKEN_AWAY_WITHIN_S = 2.0
"""Beyond that the server drops it by itself."""
NS = 10**9


async def create(
    connection: Connection, stream: str, name: str, filters: tuple[str, ...], *, is_large: bool = False, **config: Any
) -> dict[str, Any]:
    """Create a pull consumer and return its info. Raises ApiRefused, Unanswered.

    `is_large`: much of a large stream is to be counted for it first; to ask again soon would only make it count again.
    """
    subject = f"CONSUMER.CREATE.{stream}.{name}"
    if len(filters) == 1:
        subject += f".{filters[0]}"
        config["filter_subject"] = filters[0]
    elif filters:
        config["filter_subjects"] = list(filters)
    body = {"stream_name": stream, "config": {"name": name, **config}, "action": ""}
    if not is_large:
        return await connection.api(subject, body)
    for _ in range(COUNTED_TRIES - 1):
        try:
            return await connection.api(subject, body, again_s=COUNTED_AGAIN_S)
        except Unanswered:
            if not connection.is_connected:  # a server that counts keeps its connections
                raise
    return await connection.api(subject, body, again_s=COUNTED_AGAIN_S)


async def delete(connection: Connection, stream: str, name: str) -> None:
    """Delete a consumer if it exists. Raises Unanswered."""
    try:
        await connection.api(f"CONSUMER.DELETE.{stream}.{name}")
    except ApiRefused as error:
        if error.code != CONSUMER_NOT_FOUND:
            raise


@asynccontextmanager
async def short_lived(
    connection: Connection,
    stream: str,
    filters: tuple[str, ...],
    *,
    kind: str = "read",
    name: str = "",
    is_large: bool = False,
    **how: Any,
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A consumer without acks for the length of the block: its name, and its info as it was created.

    The info tells where it begins (`delivered.stream_seq` + 1) and how much there is (`num_pending`).
    `name`: where permissions name it, otherwise a fresh one that begins with its `kind`. `how`: where it is to begin,
    as the API has it. `is_large` as in `create`. Raises ApiRefused, Unanswered.
    """
    name = name or f"{kind}-{uuid4().hex[:12]}"
    info = await create(
        connection,
        stream,
        name,
        filters,
        is_large=is_large,
        ack_policy="none",
        inactive_threshold=EPHEMERAL_FOR_S * NS,
        mem_storage=True,
        num_replicas=1,
        **how,
    )
    try:
        yield name, info
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(TAKEN_AWAY_WITHIN_S):
            try:
                if connection.is_connected:
                    await delete(connection, stream, name)
            except BrokerError as error:
                log.debug("a consumer was left behind; the server drops it", consumer=name, problem=str(error))
