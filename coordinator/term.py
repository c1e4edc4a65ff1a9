"""One term of leadership: everything a leader knows and the checked steps it may take.

All state of a term is one object, so that nothing of an earlier term can touch a later one's.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import anyio
import structlog
from msgspec.structs import replace

from broker.connection import Connection
from broker.errors import BrokerError, Deposed, StoreFull
from broker.eventlog import EventLog
from broker.table import Table
from coordinator.aside import Conduct
from coordinator.decisions import Decisions
from coordinator.desk import Desk
from coordinator.endings import outcome_event, said_of
from coordinator.fleet import Fleet
from coordinator.handover import Handover
from coordinator.moves import End, Requeue
from coordinator.owners import Owners
from coordinator.policybook import PolicyBook
from coordinator.recalls import Recalls
from coordinator.rowbook import RowBook, TableReading
from coordinator.tasklocks import TaskLocks
from coordinator.wants import origins_of
from schemas import subjects as s
from schemas.event import Retrying
from schemas.lifecycle import State
from schemas.oddity import Oddity
from schemas.policy import Policy
from schemas.settings import CoordinatorSettings
from schemas.task import StoredRow, TaskRow

log = structlog.get_logger()

STOPS_WITHIN_S = 10.0
"""A node that was not told stops by then: it hears it again, or its lock has run out."""
RECALL_BEATS = 3
"""Heartbeats in which a node tells of everything that was placed there before its origin began to cool down."""

ALL_HEARD_BEATS = 1.5
"""Heartbeats' time in which each node that is there is heard once, even one that is a little late."""
ALL_HEARD_WITHIN_S = 5.0
"""At most, however seldom nodes beat: whoever asks waits for it."""


class Term:
    """What one leader holds from takeover to its end."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        epoch: int,
        settings: CoordinatorSettings,
        dice: random.Random,
        *,
        holds: Callable[[], bool] = lambda: True,
    ) -> None:
        """`holds` tells whether the lease is still held, by this process's own clock."""
        self.connection = connection
        self.name = name
        self.epoch = epoch
        self.tag = f"{epoch}-{uuid4().hex[:6]}"
        """Names this term's consumers; unique even where epochs start again with a new bucket."""
        self.settings = settings
        self.dice = dice
        self.holds = holds
        self.table = Table(connection)
        self.events = EventLog(connection, name)
        self.fleet = Fleet(anyio.current_time())
        listened_s = min(ALL_HEARD_BEATS * settings.heartbeat_interval_s, ALL_HEARD_WITHIN_S)
        self._all_heard_at = anyio.current_time() + listened_s
        self.book = RowBook(self._row_changed, self._rows_came)
        self.desk = Desk(self.book, self.fleet, connection.clock, lost_after_s=settings.node_lost_after_s)
        self.policies = PolicyBook(self.desk.policy_changed)
        self.owners = Owners()
        self.decisions = Decisions(self.desk.node_decided)
        self.conduct = Conduct()
        self.handover = Handover(connection, epoch=epoch, term=self.tag, cooled=self._cool)
        self.recalls = Recalls(RECALL_BEATS * settings.heartbeat_interval_s)
        self.cooled = anyio.Event()
        """Set when an origin begins to cool down, or is to for longer."""
        self.reading: TableReading | None = None
        """The last whole reading of the table into the book."""
        self.outcomes: Counter[str] = Counter()
        self.oddities: Counter[Oddity] = Counter()
        """What was passed over, by kind."""
        self.refused_at: dict[str, float] = {}
        """When each stream last refused a write as full; monotonic seconds."""
        self.locks = TaskLocks(self._freed)
        self._changed: set[str] = set()
        """Held tasks whose rows changed: they are looked at when they are free."""
        self._writes = 0

    def __repr__(self) -> str:
        return f"<Term {self.epoch} of {self.name}: {self.book!r}, {self.desk!r}>"

    @property
    def policy(self) -> Policy:
        return self.policies.policy

    def only(self, task: str) -> AbstractAsyncContextManager[None]:
        """One step at a time for each task."""
        return self.locks.only(task)

    def now(self) -> datetime:
        """The broker's time."""
        return datetime.fromtimestamp(self.connection.clock.now(), UTC)

    async def until_all_heard(self) -> None:
        """Return once every node that is there has had time to be heard in this term."""
        await anyio.sleep_until(self._all_heard_at)

    async def cas(self, row: TaskRow, expected: int) -> StoredRow | None:
        """Write a row over the one at sequence `expected` (0: none). None: another's write stands there.

        After a defeat the book holds what the broker holds: decide again from that. Raises BrokerError.
        """
        (fate,) = await self.cas_all(((row, expected),))
        if isinstance(fate, BrokerError):
            raise fate
        return fate

    async def cas_all(self, changes: Sequence[tuple[TaskRow, int]]) -> list[StoredRow | BrokerError | None]:
        """`cas` for many tasks at once: for each, in order, what `cas` would return or raise.

        A leader that slept past its lease finds out here, before it writes, whatever it was about to do.
        """
        if not self.holds():
            return [Deposed("the lease has run out") for _ in changes]
        signed = [(self._signed(row), expected) for row, expected in changes]
        fates: list[StoredRow | BrokerError | None] = []
        for (row, expected), fate in zip(signed, await self.table.write_all(signed), strict=True):
            if isinstance(fate, StoreFull):
                self.note_refused(s.TASKS_STREAM)
            if isinstance(fate, int):
                fates.append(self._took(StoredRow(fate, row, self.connection.clock.now()), expected))
            else:
                fates.append(fate if fate is not None else await self._defeated(row.task))
        return fates

    def _signed(self, row: TaskRow) -> TaskRow:
        self._writes += 1
        return replace(row, writer=self.name, epoch=self.epoch, nonce=f"{self.tag}-{self._writes}")

    def _took(self, stored: StoredRow, expected: int) -> StoredRow:
        if expected in self.book.vouched:
            self.book.vouched.add(stored.sequence)
        self.book.learn(stored)
        return stored

    async def _defeated(self, task: str) -> BrokerError | None:
        try:
            await self.refresh(task)
        except BrokerError as error:
            return error
        return None

    async def refresh(self, task: str) -> StoredRow | None:
        """Read a task's rows through the stream's leader; the true one."""
        deleted = self.book.deleted(task)
        self.book.replace(task, await self.table.rows(task), deleted=deleted)
        return self.book.top(task)

    async def move(self, row: TaskRow, expected: int) -> StoredRow | None:
        """Write the row in its new place, then delete what lies below it, lowest first, and tell who held it."""
        stored = await self.cas(row, expected)
        if stored is not None:
            await self.tidy(row.task)
        return stored

    async def tidy(self, *tasks: str) -> None:
        """Of several rows of one task only the highest is true: delete the others."""
        surplus = []
        for task in tasks:
            rows = self.book.all(task)
            surplus += [(stored, rows[-1].sequence) for stored in rows[:-1]]
        await self._erase(surplus)

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
        row = change.row
        said = {"reason": row.reason, "next_in_s": delay_s, "attempt": row.attempt}
        log.info("task goes back to the queue", task=row.task, **said)
        await self.events.emit(
            Retrying(**self.about(row), reason=row.reason, next_in_s=delay_s, counted=change.counted)
        )
        return True

    async def finish(self, task: str) -> None:
        """Write the outcome of an `ending` row, then delete the row. Safe to repeat at any point.

        Raises StoreFull and Unanswered: the row stays, and the watch comes back to it.
        """
        top = self.book.top(task)
        if top is None or top.row.state is not State.ENDING or top.row.outcome is None:
            return
        try:
            was_first = await self.events.finish_now(outcome_event(top.row, self.about(top.row)))
        except StoreFull:
            self.note_refused(s.EVENTS_STREAM)
            raise
        if was_first:
            self.outcomes[top.row.outcome] += 1
            log.info("task finished", task=task, outcome=str(top.row.outcome), reason=top.row.reason)
        await self.clear(task)

    async def clear(self, task: str, *, holder: str = "") -> None:
        """The outcome is stored: delete every row, lowest first, until the broker has none.

        `holder` is the node that reported it and needs no hint.
        """
        while True:
            await self.clear_known({task: holder})
            if await self.refresh(task) is None:
                return

    async def clear_known(self, holders: Mapping[str, str]) -> None:
        """The outcomes of these tasks are stored: delete the rows that the book has, each task's lowest first.

        A row that the book does not know yet is found out when it turns up: its task's outcome is read before
        anything is done with it (rule 11).
        """
        known = [(rows, stored) for task in holders if (rows := self.book.all(task)) for stored in rows]
        await self._erase([(stored, rows[-1].sequence) for rows, stored in known], holders)

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
        return said_of(row, self.now())

    async def _erase(
        self, superseded: Sequence[tuple[StoredRow, int]], holders: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Delete rows, each with the sequence that superseded it, and tell those who held them but for `holders`."""
        self._let_stop([stored.row for stored, _ in superseded], holders)
        await self.table.delete_all([stored.sequence for stored, _ in superseded])
        for stored, by in superseded:
            task, place = stored.row.task, stored.row.place
            self.book.forget(task, stored.sequence)
            if stored.row.state is State.ASSIGNED and place != holders.get(task):
                await self.table.hint(place, task, by)

    def _let_stop(self, rows: Sequence[TaskRow], holders: Mapping[str, str]) -> None:
        """Their tasks ended elsewhere: until their nodes have heard it, their origins' limits are used up.

        A row that is `ending` was won from a node that had reported it, or had lost its lock: nothing of it runs.
        """
        for row in rows:
            ended_elsewhere = row.task in holders and row.place != holders[row.task] and row.state is State.ASSIGNED
            if row.limited and row.request and ended_elsewhere:
                for origin in origins_of(row.request):
                    self.desk.let_stop(origin, self.connection.clock.now() + STOPS_WITHIN_S)

    def _cool(self, origin: str, until: float) -> None:
        self.desk.cool(origin, until)
        self.recalls.cool(origin, anyio.current_time())
        self.cooled.set()

    def note_refused(self, stream: str) -> None:
        """The stream took no write, for something is full."""
        self.refused_at[stream] = anyio.current_time()

    def _row_changed(self, task: str) -> None:
        self.owners.row_changed(task, self.book.top(task))
        if task in self.locks:
            self._changed.add(task)
        else:
            self.desk.row_changed(task)

    def _rows_came(self, rows: Sequence[StoredRow]) -> None:
        """Of tasks of which nothing was known: the same as `_row_changed` for each."""
        for stored in rows:
            self.owners.row_changed(stored.row.task, stored)
        self._changed.update(stored.row.task for stored in rows if stored.row.task in self.locks)
        self.desk.rows_came([stored for stored in rows if stored.row.task not in self.locks])

    def _freed(self, task: str) -> None:
        if task in self._changed:
            self._changed.discard(task)
            self.desk.row_changed(task)
