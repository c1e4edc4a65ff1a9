"""The row of one live task, for what no list tells: the options of its request."""

from contextlib import suppress
from uuid import uuid4

import anyio

from broker import pull
from broker.connection import Connection
from broker.errors import Unanswered
from broker.table import decode_row
from schemas import subjects as s
from schemas.task import StoredRow


async def row_of(connection: Connection, task: str) -> StoredRow | None:
    """The true row, by a short-lived consumer, for the gateway may read streams no other way.

    None where there is none (any more). Raises ApiRefused, Unanswered.
    """
    name = f"row-{uuid4().hex[:12]}"
    info = await pull.create_consumer(
        connection,
        s.TASKS_STREAM,
        name,
        (s.task_anywhere(task),),
        deliver_policy="last_per_subject",
        ack_policy="none",
        inactive_threshold=pull.EPHEMERAL_FOR_S * pull.NS,
        mem_storage=True,
        num_replicas=1,
    )
    found: StoredRow | None = None
    try:
        async with pull.reading(connection, s.TASKS_STREAM, name, batch=max(1, int(info["num_pending"]))) as reader:
            while (delivery := await reader.next(no_wait=True)) is not None:
                row = decode_row(delivery)
                if row is not None and (found is None or row.sequence > found.sequence):
                    found = row  # a crash between the two steps of a move leaves two: the highest is true
    finally:
        # Where that fails the server drops it by itself.
        with anyio.CancelScope(shield=True), anyio.move_on_after(2), suppress(Unanswered):
            await pull.delete_consumer(connection, s.TASKS_STREAM, name)
    return found
