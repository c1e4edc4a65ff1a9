"""The row of one live task, for what no list tells: the options of its request."""

from broker import consumers, pull
from broker.connection import Connection
from broker.table import decode_row
from schemas import subjects as s
from schemas.task import StoredRow


async def row_of(connection: Connection, task: str) -> StoredRow | None:
    """The true row, by a short-lived consumer, for the gateway may read streams no other way.

    None where there is none (any more). Raises ApiRefused, Unanswered, ConsumerGone.
    """
    found: StoredRow | None = None
    filters = (s.task_anywhere(task),)
    made = consumers.short_lived(connection, s.TASKS_STREAM, filters, kind="row", deliver_policy="last_per_subject")
    async with made as (name, info):
        batch = max(1, int(info["num_pending"]))
        async with pull.reading(connection, s.TASKS_STREAM, name, batch=batch) as reader:
            while (delivery := await reader.next(no_wait=True)) is not None:
                row = decode_row(delivery)
                if row is not None and (found is None or row.sequence > found.sequence):
                    found = row  # a crash between the two steps of a move leaves two: the highest is true
    return found
