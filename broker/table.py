"""The table of live tasks: rows in TASKS, written by compare-and-set, read through the stream's leader.

Rule 2: every write names the sequence it expects to be the task's latest, in whatever place.
Rule 3: a lost write is not a defeat: what the leader of the stream holds decides.
"""

import anyio
import msgspec
import structlog

from broker import checked
from broker.connection import Connection
from broker.errors import ApiRefused, SequenceConflict, Unanswered, Unreadable
from broker.pull import Delivery
from schemas import codec
from schemas import subjects as s
from schemas.ids import QUEUED
from schemas.task import StoredRow, TaskRow

log = structlog.get_logger()

RETRY_S = 0.25
MARKER = "0" * 16
"""No task's id: the row that says how far a replica has come."""
DELETES_IN_FLIGHT = 64
"""Deletes share the server's API queue with everyone's reads."""


class Table:
    """All writes and checked reads of TASKS."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._deleting = anyio.CapacityLimiter(DELETES_IN_FLIGHT)

    async def write(self, row: TaskRow, expected: int) -> int | None:
        """Store `row` if the task's latest sequence is `expected` (0: no row). The new sequence, None if defeated.

        Repeats the same write until its fate is known; `row.nonce` must be fresh for each new write.
        Raises StoreFull, ApiRefused.
        """
        body = codec.encode(row)
        headers = {
            s.EXPECTED_SEQUENCE: str(expected),
            s.EXPECTED_SUBJECT: s.task_anywhere(row.task),
        }
        while True:
            try:
                return await self._connection.store(s.task_write(row.place, row.task), body, headers)
            except (SequenceConflict, Unanswered) as error:
                log.debug("write unsure, reading what stands", task=row.task, problem=str(error))
            found = await self.top(row.task)
            if found is not None and found.row.nonce == row.nonce:
                return found.sequence
            if (found.sequence if found else 0) != expected:
                return None
            await anyio.sleep(RETRY_S)

    async def mark(self) -> int:
        """Write the marker and return its sequence: a reader that sees it has seen all that came before."""
        while True:
            try:
                return await self._connection.store(s.task_write(QUEUED, MARKER), b"{}")
            except Unanswered:
                await anyio.sleep(RETRY_S)

    async def top(self, task: str) -> StoredRow | None:
        """The true row of a task: its highest sequence, read through the stream's leader; waits out an election."""
        return await self._get({"last_by_subj": s.task_anywhere(task)})

    async def rows(self, task: str) -> list[StoredRow]:
        """All rows of a task, lowest sequence first: a crash between the two steps of a move leaves two."""
        found: list[StoredRow] = []
        start = 1
        while (one := await self._get({"seq": start, "next_by_subj": s.task_anywhere(task)})) is not None:
            found.append(one)
            start = one.sequence + 1
        return found

    async def delete(self, sequence: int) -> None:
        """Delete one message; it is fine if it is gone already. Waits out an election."""
        async with self._deleting:
            while True:
                try:
                    # no_erase: overwriting the bytes first makes a delete a hundred times slower.
                    await self._connection.api(
                        f"STREAM.MSG.DELETE.{s.TASKS_STREAM}", {"seq": sequence, "no_erase": True}
                    )
                except Unanswered:
                    await anyio.sleep(RETRY_S)
                except ApiRefused:
                    return  # no message with that sequence
                else:
                    return

    async def hint(self, place: str, task: str, sequence: int) -> None:
        """Tell a node at once that its row was superseded at `sequence`: deletes reach nobody by themselves."""
        try:
            await self._connection.publish(s.task(place, task), b"", headers={s.SEQUENCE: str(sequence)})
        except Unanswered:
            log.debug("hint not sent; the node will re-read", task=task, node=place)

    async def _get(self, query: dict[str, str | int]) -> StoredRow | None:
        found = await checked.get_patiently(self._connection, s.TASKS_STREAM, query)
        if found is None:
            return None
        try:
            row = codec.decode(found.data, TaskRow)
        except msgspec.MsgspecError as error:
            raise Unreadable(f"row {found.sequence} ({query}): {error}") from error
        return StoredRow(found.sequence, row, found.stored_at)


def decode_row(delivery: Delivery) -> StoredRow | None:
    """A row as delivered by a consumer; None for the marker, and for what can't be read: logged and left alone."""
    if s.parse_task(delivery.subject).task == MARKER:
        return None
    try:
        row = codec.decode(delivery.data, TaskRow)
    except msgspec.MsgspecError as error:
        log.error("a row can't be read", subject=delivery.subject, sequence=delivery.sequence, problem=str(error))
        return None
    return StoredRow(delivery.sequence, row, delivery.stored_at)
