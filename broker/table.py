"""The table of live tasks: rows in TASKS, written by compare-and-set, read through the stream's leader.

Rule 2: every write names the sequence it expects to be the task's latest, in whatever place.
Rule 3: a lost write is not a defeat: what the leader of the stream holds decides.
"""

from collections.abc import Sequence

import anyio
import msgspec
import structlog

from broker import checked
from broker.connection import Answer, Connection
from broker.errors import BrokerError, SequenceConflict, Unanswered, Unreadable
from broker.exchange import Ask
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

_deleted = msgspec.json.Decoder(Answer)
_read_row = msgspec.json.Decoder(TaskRow).decode


class Table:
    """All writes and checked reads of TASKS."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def write(self, row: TaskRow, expected: int) -> int | None:
        """Store `row` if the task's latest sequence is `expected` (0: no row). The new sequence, None if defeated.

        Repeats the same write until its fate is known; `row.nonce` must be fresh for each new write.
        Raises StoreFull, ApiRefused.
        """
        (fate,) = await self.write_all(((row, expected),))
        if isinstance(fate, BrokerError):
            raise fate
        return fate

    async def write_all(self, writes: Sequence[tuple[TaskRow, int]]) -> list[int | BrokerError | None]:
        """`write` for many tasks at once: for each, in order, what `write` would return or raise.

        Lost is not defeated: of writes whose fate is unknown it finds out what stands, and writes the same again until
        all is clear (rule 3).
        """
        asks = [_ask(row, expected) for row, expected in writes]
        fates = list(await self._connection.store_all(asks))
        settled: dict[int, int | BrokerError | None] = {}
        while unsure := [index for index in range(len(writes)) if index not in settled and _is_unsure(fates[index])]:
            for index in unsure:
                log.debug("write unsure, reading what stands", task=writes[index][0].task, problem=str(fates[index]))
            lost = await self._still_unsure([(index, *writes[index]) for index in unsure], settled)
            if lost:
                await anyio.sleep(RETRY_S)
                again = await self._connection.store_all([asks[index] for index in lost])
                for index, fate in zip(lost, again, strict=True):
                    fates[index] = fate
        return [settled[index] if index in settled else fates[index] for index in range(len(writes))]

    async def _still_unsure(
        self, writes: Sequence[tuple[int, TaskRow, int]], settled: dict[int, int | BrokerError | None]
    ) -> list[int]:
        """Settle what the stream's leader can tell of; the others' indexes: nothing came of them yet, write again."""
        found = await self.tops([row.task for _, row, _ in writes])
        lost = []
        for (index, row, expected), stands in zip(writes, found, strict=True):
            if isinstance(stands, Unanswered):
                lost.append(index)
            elif isinstance(stands, BrokerError):
                settled[index] = stands
            elif stands is not None and stands.row.nonce == row.nonce:
                settled[index] = stands.sequence
            elif (stands.sequence if stands else 0) != expected:
                settled[index] = None
            else:
                lost.append(index)
        return lost

    async def mark(self) -> int:
        """Write the marker and return its sequence: a reader that sees it has seen all that came before.

        Raises StoreFull.
        """
        while True:
            try:
                return await self._connection.store(s.task_write(QUEUED, MARKER), b"{}")
            except Unanswered:
                await anyio.sleep(RETRY_S)

    async def newest(self) -> int:
        """The sequence of the newest row or marker, 0 for none: a reader that sees it has seen all that was written."""
        found = await checked.get_patiently(self._connection, s.TASKS_STREAM, {"last_by_subj": s.TASKS_TREE})
        return found.sequence if found is not None else 0

    async def top(self, task: str) -> StoredRow | None:
        """The true row of a task: its highest sequence, read through the stream's leader; waits out an election."""
        return await self._get({"last_by_subj": s.task_anywhere(task)})

    async def tops(self, tasks: Sequence[str]) -> list[StoredRow | BrokerError | None]:
        """`top` of many tasks at once, one try: for each, in order, what it would return or raise."""
        queries = [{"last_by_subj": s.task_anywhere(task)} for task in tasks]
        found = await checked.get_all(self._connection, s.TASKS_STREAM, queries)
        return [one if isinstance(one, BrokerError) else _decoded(one) for one in found]

    async def rows(self, task: str) -> list[StoredRow]:
        """All rows of a task, lowest sequence first: a crash between the two steps of a move leaves two."""
        found: list[StoredRow] = []
        start = 1
        while (one := await self._get({"seq": start, "next_by_subj": s.task_anywhere(task)})) is not None:
            found.append(one)
            start = one.sequence + 1
        return found

    async def delete_all(self, sequences: Sequence[int]) -> None:
        """Delete messages in this order; it is fine if some are gone already. Waits out an election."""
        for start in range(0, len(sequences), DELETES_IN_FLIGHT):
            left = sequences[start : start + DELETES_IN_FLIGHT]
            while left:
                # no_erase: overwriting the bytes first makes a delete a hundred times slower.
                bodies = [{"seq": sequence, "no_erase": True} for sequence in left]
                answers = await self._connection.api_all(f"STREAM.MSG.DELETE.{s.TASKS_STREAM}", bodies, _deleted)
                # Any other answer will do: a refusal means that there is no such message.
                left = [
                    sequence for sequence, answer in zip(left, answers, strict=True) if isinstance(answer, Unanswered)
                ]
                if left:
                    await anyio.sleep(RETRY_S)

    async def hint(self, place: str, task: str, sequence: int) -> None:
        """Tell a node at once that its row was superseded at `sequence`: deletes reach nobody by themselves."""
        try:
            await self._connection.publish(s.task(place, task), b"", headers={s.SEQUENCE: str(sequence)})
        except Unanswered:
            log.debug("hint not sent; the node will re-read", task=task, node=place)

    async def _get(self, query: checked.Query) -> StoredRow | None:
        row = _decoded(await checked.get_patiently(self._connection, s.TASKS_STREAM, query))
        if isinstance(row, Unreadable):
            raise row
        return row


def _decoded(found: checked.StoredMessage | None) -> StoredRow | Unreadable | None:
    if found is None:
        return None
    try:
        row = codec.decode(found.data, TaskRow)
    except msgspec.MsgspecError as error:
        return Unreadable(f"row {found.sequence}: {error}")
    return StoredRow(found.sequence, row, found.stored_at)


def _is_unsure(fate: int | BrokerError) -> bool:
    return isinstance(fate, SequenceConflict | Unanswered)


def _ask(row: TaskRow, expected: int) -> Ask:
    headers = {s.EXPECTED_SEQUENCE: str(expected), s.EXPECTED_SUBJECT: s.task_anywhere(row.task)}
    return Ask(s.task_write(row.place, row.task), codec.encode(row), headers)


def decode_row(delivery: Delivery) -> StoredRow | None:
    """A row as delivered by a consumer; None for the marker, and for what can't be read: logged and left alone."""
    if delivery.subject.endswith(MARKER):
        return None
    try:
        row = _read_row(delivery.data)
    except msgspec.MsgspecError as error:
        log.error("a row can't be read", subject=delivery.subject, sequence=delivery.sequence, problem=str(error))
        return None
    return StoredRow(delivery.sequence, row, delivery.stored_at)
