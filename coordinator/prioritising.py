"""The verb `prioritise`: another priority, or another position among the queued tasks of one owner and priority."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import anyio
import anyio.lowlevel

from coordinator import moves, positions
from coordinator.line import Line
from coordinator.listing import Listing, Reaches
from coordinator.positions import NoRoom, Plan, Slot
from coordinator.steering import Steering, left_alone
from coordinator.term import Term
from schemas.control import ErrorReply, Prioritise, Steered, SteerReply
from schemas.event import Prioritised
from schemas.lifecycle import State
from schemas.task import StoredRow, TaskRow, order_of

CHUNK = 500
"""Rows looked at in one go, before others may run: a millisecond."""


class Queue(NamedTuple):
    """What waits of one owner with one priority: only within it a position means something."""

    owner: str
    priority: int


class Prioritising:
    """Serves `prioritise` for one term."""

    def __init__(self, term: Term, listing: Listing, steering: Steering) -> None:
        self._term = term
        self._listing = listing
        self._steering = steering
        # Two at the same time would put their tasks into the same gap.
        self._turn = anyio.Lock()

    def __repr__(self) -> str:
        return f"<Prioritising {'now' if self._turn.locked() else 'nothing'}>"

    async def prioritise(self, asked: Prioritise, reaches: Reaches) -> SteerReply | ErrorReply:
        """Carry it out. Raises BrokerError where room could not be made; then nothing that was meant was moved."""
        if asked.priority is None and asked.position is None:
            return ErrorReply("say a priority, or a position")
        async with self._turn:
            try:
                plans = await self._plan(asked, reaches)
            except NoRoom as error:
                return ErrorReply(str(error))
            for plan in plans:
                await self._make_room(plan.shifts)
            orders = {task: order for plan in plans for task, order in plan.orders.items()}
            standing = {task: position for plan in plans for task, position in plan.positions.items()}

            async def step(term: Term, top: StoredRow) -> Steered | None:
                return await _carry_out(term, top, asked, orders, standing)

            return await self._steering.each(asked, reaches, step)

    async def _plan(self, asked: Prioritise, reaches: Reaches) -> list[Plan]:
        """What to write in each of the queues that are concerned. Raises NoRoom."""
        if asked.deadline is not None and self._term.now() > asked.deadline:
            return []
        moving: dict[Queue, list[Slot]] = {}
        for top in self._meant(asked, reaches):
            queue = _queue_of(top.row)
            if asked.priority is not None:
                queue = queue._replace(priority=asked.priority)
            moving.setdefault(queue, []).append(_slot_of(top.row))
        lines = await self._lines(moving)
        plans = []
        for queue, slots in moving.items():
            slots.sort()
            others = lines[queue]
            if asked.position is None:
                plans.append(positions.staying(others, slots))
            else:
                index = positions.target(asked.how, asked.position, others, slots)
                now_ns = int(self._term.connection.clock.now() * 1e9)
                plans.append(positions.insert(others, index, slots, now_ns))
        return plans

    def _meant(self, asked: Prioritise, reaches: Reaches) -> Iterable[StoredRow]:
        """The queued ones; each is judged once more when it is its turn."""
        for task in dict.fromkeys(asked.ids):
            top = self._term.book.top(task)
            if top is None or top.row.state is not State.QUEUED or not reaches(top.row.owner):
                continue
            if asked.where is None or asked.where.matches(self._listing.view(top)):
                yield top

    async def _lines(self, moving: Mapping[Queue, Iterable[Slot]]) -> dict[Queue, Line]:
        """Who else is in these queues; found in one walk over the book, which holds nobody up."""
        lines: dict[tuple[str, int], Line] = {queue: Line() for queue in moving}
        own = {slot.task for slots in moving.values() for slot in slots}
        if not lines:
            return {}
        for at, top in enumerate(self._term.book.tops()):
            if at % CHUNK == CHUNK - 1:
                await anyio.lowlevel.checkpoint()
            row = top.row
            if row.state is State.QUEUED and row.request is not None:
                line = lines.get((row.owner, row.request.priority))
                if line is not None and row.task not in own:
                    line.add(order_of(row), row.task)
        for line in lines.values():
            await line.sort()
        return {Queue(*queue): line for queue, line in lines.items()}

    async def _make_room(self, shifts: Iterable[Slot]) -> None:
        """One after the other: broken off at any point, the neighbours still stand in their order."""
        term = self._term
        for order, task in shifts:
            async with term.only(task):
                while (top := term.book.top(task)) is not None:
                    change = moves.prioritised(top.row, None, order, waited_s=_age_s(term, top))
                    if change is None or await term.cas(change, top.sequence) is not None:
                        break


async def _carry_out(
    term: Term, top: StoredRow, asked: Prioritise, orders: dict[str, int], standing: dict[str, int]
) -> Steered | None:
    """One task, judged on its true row. None: the row changed under it, look again."""
    row = top.row
    is_queued = row.state is State.QUEUED
    if row.state is State.ENDING:
        return left_alone(row.task, "it is ending already")
    if not is_queued and asked.priority is None:
        return left_alone(row.task, f"it is at {row.place} already: only what is queued has a position")
    if is_queued and row.task not in standing:
        return left_alone(row.task, "it came back to the queue just now: ask again")
    position = standing[row.task] if is_queued else None
    change = moves.prioritised(row, asked.priority, orders.get(row.task), waited_s=_age_s(term, top))
    if change is not None:
        if await term.cas(change, top.sequence) is None:
            return None
        priority = _queue_of(change).priority
        await term.events.emit(Prioritised(**term.about(change), priority=priority, position=position))
    return Steered(row.task, True, _said(change or row, position), position=position)


def _said(row: TaskRow, position: int | None) -> str:
    priority = _queue_of(row).priority
    told = f"priority {priority:+d}" if priority else "priority 0"
    if position is None:
        return f"{told}; it is at {row.place} already, and keeps it if it has to be placed again"
    return f"{told}, goes first" if position == 0 else f"{told}, {position:,} of {row.owner} before it"


def _queue_of(row: TaskRow) -> Queue:
    return Queue(row.owner, row.request.priority if row.request else 0)


def _slot_of(row: TaskRow) -> Slot:
    return Slot(order_of(row), row.task)


def _age_s(term: Term, top: StoredRow) -> float:
    return term.connection.clock.now() - top.stored_at
