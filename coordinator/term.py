"""One term of leadership: everything a leader knows and the checked steps it may take.

All state of a term is one object, so that nothing of an earlier term can touch a later one's.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import anyio
import structlog
from msgspec.structs import replace

from broker.connection import Connection
from broker.eventlog import EventLog
from broker.table import Table
from coordinator.desk import Desk
from coordinator.fleet import Fleet
from coordinator.moves import End, Requeue
from coordinator.rowbook import RowBook
from schemas.event import Cancelled, Failed, Finished, Rejected, Retrying
from schemas.lifecycle import Outcome, State
from schemas.redact import told_of
from schemas.settings import CoordinatorSettings
from schemas.task import StoredRow, TaskRow

log = structlog.get_logger()


class Term:
    """What one leader holds from takeover to its end."""

    def __init__(
        self, connection: Connection, name: str, epoch: int, settings: CoordinatorSettings, dice: random.Random
    ) -> None:
        self.connection = connection
        self.name = name
        self.epoch = epoch
        self.tag = f"{epoch}-{uuid4().hex[:6]}"
        """Names this term's consumers; unique even where epochs start again with a new bucket."""
        self.settings = settings
        self.dice = dice
        self.table = Table(connection)
        self.events = EventLog(connection, name)
        self.fleet = Fleet(anyio.current_time())
        self.book = RowBook(self._row_changed)
        self.desk = Desk(self.book, self.fleet, connection.clock)
        self.outcomes: Counter[str] = Counter()
        self.ignored_facts = 0
        self.undecodable = 0
        self._locks: dict[str, anyio.Lock] = {}

    def __repr__(self) -> str:
        return f"<Term {self.epoch} of {self.name}: {self.book!r}, {self.desk!r}>"

    @asynccontextmanager
    async def only(self, task: str) -> AsyncIterator[None]:
        """One step at a time for each task."""
        lock = self._locks.setdefault(task, anyio.Lock(fast_acquire=True))
        try:
            async with lock:
                with structlog.contextvars.bound_contextvars(task=task):
                    yield
        finally:
            if not lock.locked() and lock.statistics().tasks_waiting == 0:
                self._locks.pop(task, None)

    def is_busy(self, task: str) -> bool:
        return task in self._locks

    def now(self) -> datetime:
        """The broker's time."""
        return datetime.fromtimestamp(self.connection.clock.now(), UTC)

    async def cas(self, row: TaskRow, expected: int) -> StoredRow | None:
        """Write a row over the one at sequence `expected` (0: none). None: another's write stands there.

        After a defeat the book holds what the broker holds: decide again from that.
        """
        row = replace(row, writer=self.name, epoch=self.epoch, nonce=uuid4().hex)
        sequence = await self.table.write(row, expected)
        if sequence is None:
            await self.refresh(row.task)
            return None
        stored = StoredRow(sequence, row, self.connection.clock.now())
        if expected in self.book.vouched:
            self.book.vouched.add(sequence)
        self.book.learn(stored)
        return stored

    async def refresh(self, task: str) -> StoredRow | None:
        """Read a task's rows through the stream's leader; the true one."""
        self.book.replace(task, await self.table.rows(task))
        return self.book.top(task)

    async def move(self, row: TaskRow, expected: int) -> StoredRow | None:
        """Write the row in its new place, then delete what lies below it, lowest first, and tell who held it."""
        stored = await self.cas(row, expected)
        if stored is not None:
            await self.tidy(row.task)
        return stored

    async def tidy(self, task: str) -> None:
        """Of several rows of one task only the highest is true: delete the others."""
        rows = self.book.all(task)
        for stored in rows[:-1]:
            await self._erase(stored, superseded_by=rows[-1].sequence)

    async def apply(self, top: StoredRow, change: Requeue | End) -> bool:
        """Carry out what a pure move decided. False: the row was not `top` any more; decide again."""
        if isinstance(change, End):
            if await self.cas(change.row, top.sequence) is None:
                return False
            await self.finish(top.row.task)
            return True
        if await self.move(change.row, top.sequence) is None:
            return False
        delay_s = round(change.row.delay_s, 3)
        log.info("task goes back to the queue", reason=change.row.reason, next_in_s=delay_s, attempt=change.row.attempt)
        await self.events.emit(
            Retrying(**self.about(change.row), reason=change.row.reason, next_in_s=delay_s, counted=change.counted)
        )
        return True

    async def finish(self, task: str) -> None:
        """Write the outcome of an `ending` row, then delete the row. Safe to repeat at any point."""
        top = self.book.top(task)
        if top is None or top.row.state is not State.ENDING or top.row.outcome is None:
            return
        if await self.events.finish(self._outcome_event(top.row)):
            self.outcomes[top.row.outcome] += 1
            log.info("task finished", outcome=str(top.row.outcome), reason=top.row.reason)
        await self.clear(task)

    async def clear(self, task: str, *, holder: str = "") -> None:
        """The outcome is stored: delete every row, lowest first, until the broker has none.

        `holder` is the node that reported it and needs no hint.
        """
        while True:
            rows = self.book.all(task)
            for stored in rows:
                await self._erase(stored, superseded_by=rows[-1].sequence, holder=holder)
            if await self.refresh(task) is None:
                return

    async def is_over(self, stored: StoredRow) -> bool:
        """Rule 11: whether a row this term did not vouch for belongs to a task that has ended."""
        if stored.sequence in self.book.vouched:
            return False
        if await self.events.outcome(stored.row.task) is None:
            self.book.vouched.add(stored.sequence)
            return False
        await self.clear(stored.row.task)
        return True

    def about(self, row: TaskRow) -> dict[str, Any]:
        """What every event says of its task."""
        return {
            "task": row.task,
            "owner": row.owner,
            "time": self.now(),
            "attempt": row.attempt,
            "name": row.request.title if row.request else "",
            "labels": row.request.labels if row.request else {},
        }

    async def _erase(self, stored: StoredRow, *, superseded_by: int, holder: str = "") -> None:
        await self.table.delete(stored.sequence)
        self.book.forget(stored.row.task, stored.sequence)
        if stored.row.state is State.ASSIGNED and stored.row.place != holder:
            await self.table.hint(stored.row.place, stored.row.task, superseded_by)

    def _outcome_event(self, row: TaskRow) -> Finished:
        about = self.about(row) | {"source": row.source, "retry_of": row.retry_of} | told_of(row.request)
        if row.outcome is Outcome.FAILED:
            return Failed(**about, reason=row.reason, code=row.code, history=row.history)
        if row.outcome is Outcome.CANCELLED:
            return Cancelled(**about, reason=row.reason)
        return Rejected(**about, reason=row.reason, where=row.code)

    def _row_changed(self, task: str) -> None:
        self.desk.row_changed(task)
