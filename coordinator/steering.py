"""The verbs that change tasks: cancel, pause, resume, retry, clear. Each is decided anew on the task's true row."""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from msgspec.structs import replace

from broker.errors import BrokerError
from coordinator import moves
from coordinator.claim import admit, within_limits
from coordinator.listing import Listing, Reaches
from coordinator.term import Term
from schemas.control import IDS_MAX, Cancel, Steer, Steered, SteerReply
from schemas.event import QUEUE_LIMIT, Finished, Paused, Rejected, Resumed
from schemas.filter import TaskFilter
from schemas.ids import TASK_ID, task_id
from schemas.lifecycle import Desired, State
from schemas.task import StoredRow
from schemas.view import ended

STEER_IN_FLIGHT = 64

Step = Callable[[Term, StoredRow], Awaitable[Steered | None]]
"""One step on a task's true row. None: the row changed under it, look again."""
EndedStep = Callable[[Term, Finished], Awaitable[Steered]]
"""What is done about a task that has ended."""


class Steering:
    """Steers the tasks of one term."""

    def __init__(self, term: Term, listing: Listing) -> None:
        self._term = term
        self._listing = listing

    async def cancel(self, asked: Cancel, reaches: Reaches) -> SteerReply:
        return await self.each(asked, reaches, partial(cancel, keep_partial=asked.keep_partial))

    async def pause(self, asked: Steer, reaches: Reaches) -> SteerReply:
        return await self.each(asked, reaches, pause)

    async def resume(self, asked: Steer, reaches: Reaches) -> SteerReply:
        return await self.each(asked, reaches, resume)

    async def retry(self, asked: Steer, reaches: Reaches) -> SteerReply:
        """At once what waits for its next try, as a new task what has ended."""
        return await self.each(asked, reaches, retry, retry_ended)

    async def clear(self, asked: Steer, reaches: Reaches) -> SteerReply:
        """Cancel what is queued: of these ids, or of all that the caller reaches."""
        if asked.ids:
            return await self.each(asked, reaches, clear)
        where = asked.where or TaskFilter()
        ids: list[str] = []
        async for view in self._listing.every(where, reaches):
            if view.state is State.QUEUED:
                ids.append(view.task)
                if len(ids) > IDS_MAX:
                    break
        reply = await self.each(replace(asked, ids=tuple(ids[:IDS_MAX]), where=where), reaches, clear)
        return replace(reply, more=len(ids) > IDS_MAX)

    async def each(self, asked: Steer, reaches: Reaches, step: Step, ended_step: EndedStep | None = None) -> SteerReply:
        """Take a step on each task that is meant, and tell what became of it."""
        results: dict[str, Steered] = {}
        limiter = anyio.CapacityLimiter(STEER_IN_FLIGHT)

        async def one(task: str) -> None:
            async with limiter:
                try:
                    done = await self._one(task, asked, reaches, step, ended_step or over_already)
                except BrokerError as error:  # of this task alone: the others may fare better
                    done = Steered(task, False, f"the broker is in trouble, ask again: {error}", again=True)
            # Who named the very task asked for it to be done; who gave a condition, only where it holds.
            results[task] = done if asked.where is not None else replace(done, matched=True)

        async with anyio.create_task_group() as tasks:
            for task in dict.fromkeys(asked.ids):
                tasks.start_soon(one, task)
        return SteerReply(tuple(results[task] for task in dict.fromkeys(asked.ids)))

    async def _one(self, task: str, asked: Steer, reaches: Reaches, step: Step, ended_step: EndedStep) -> Steered:
        if not TASK_ID.match(task):
            return Steered(task, False, "not a task id: 16 hex digits are")
        term = self._term
        async with term.only(task):
            while True:
                top = term.book.top(task) or await term.refresh(task)
                if top is None or await term.is_over(top):
                    return await self._over(task, asked, reaches, ended_step)
                if not reaches(top.row.owner):
                    return Steered(task, False, "no such task")
                # Checked after the row is read: a leader that slept must not carry out yesterday's wish.
                if asked.deadline is not None and term.now() > asked.deadline:
                    return Steered(task, False, "too late: the request's own deadline has passed", again=True)
                # The row that is judged is the one that is written over: a changed one is judged again.
                if asked.where is not None and not asked.where.matches(view := self._listing.view(top)):
                    return left_alone(task, f"it does not match any more: it is {view.state}")
                done = await step(term, top)
                if done is not None:
                    return done

    async def _over(self, task: str, asked: Steer, reaches: Reaches, step: EndedStep) -> Steered:
        stored = await self._term.events.outcome(task)
        if stored is None or not reaches(stored.event.owner):
            return Steered(task, False, "no such task")
        event = stored.event
        assert isinstance(event, Finished)
        if asked.where is not None and not asked.where.matches(ended(event)):
            return left_alone(task, f"it does not match any more: it is {ended(event).state}")
        return await step(self._term, event)


def left_alone(task: str, said: str) -> Steered:
    """Nothing was done, for it is not what was meant."""
    return Steered(task, False, said, matched=False)


async def over_already(_: Term, event: Finished) -> Steered:
    return left_alone(event.task, f"it is {ended(event).state} already")


async def cancel(term: Term, top: StoredRow, *, keep_partial: bool = False) -> Steered | None:
    return await _wish(term, top, Desired.CANCEL, "being cancelled", keep_partial=keep_partial)


async def pause(term: Term, top: StoredRow) -> Steered | None:
    return await _wish(term, top, Desired.PAUSE, "paused")


async def resume(term: Term, top: StoredRow) -> Steered | None:
    return await _wish(term, top, Desired.RUN, "resumed")


async def clear(term: Term, top: StoredRow) -> Steered | None:
    if top.row.state is not State.QUEUED:
        return left_alone(top.row.task, "it is not queued")
    return await cancel(term, top)


async def _wish(term: Term, top: StoredRow, asked: Desired, said: str, *, keep_partial: bool = False) -> Steered | None:
    row = top.row
    waited_s = term.connection.clock.now() - top.stored_at
    change = moves.wished(row, asked, waited_s=waited_s)
    if change is None:
        if row.state is State.ENDING:
            return left_alone(row.task, "it is ending already")
        is_so = asked in (row.desired, row.wish_elsewhere)
        return Steered(row.task, is_so, f"it is to {asked if is_so else row.desired} already")
    if isinstance(change, moves.End):
        try:
            return Steered(row.task, True, "cancelled") if await term.apply(top, change) else None
        except BrokerError:
            ending = term.book.top(row.task)
            if ending is None or ending.row.state is not State.ENDING:
                raise
            return Steered(row.task, True, "being cancelled")  # it is decided; the watch writes it down
    if keep_partial:
        change = replace(change, keep_partial=True)
    if await term.cas(change, top.sequence) is None:
        return None
    # A node that is to give it back says nothing more of it.
    is_nobodys = row.state is State.QUEUED or row.desired is Desired.RELEASE
    if is_nobodys and asked in (Desired.PAUSE, Desired.RUN):
        kind = Paused if asked is Desired.PAUSE else Resumed
        await term.events.emit(kind(**term.about(change)))
    return Steered(row.task, True, said)


async def retry(term: Term, top: StoredRow) -> Steered | None:
    change = moves.due_at_once(top.row)
    if change is None:
        return left_alone(top.row.task, "it has not ended, and does not wait for a next try")
    if await term.cas(change, top.sequence) is None:
        return None
    return Steered(top.row.task, True, "tried again now")


async def retry_ended(term: Term, event: Finished) -> Steered:
    """A new task with the request of one that has ended; the same one however often it is asked for."""
    if event.request is None:
        said = "its request held secrets, which are not kept once a task has ended: submit it again"
        if isinstance(event, Rejected) and event.where != QUEUE_LIMIT:
            said = "its request was rejected: submit a corrected one"
        return Steered(event.task, False, said)
    source = f"retry:{event.task}"
    row = moves.claimed(
        task=task_id(event.owner, source),
        owner=event.owner,
        source=source,
        request=replace(event.request, not_before=None, deadline=None, paused=False),
        submitted=term.now(),
        retry_of=event.task,
    )
    if await term.events.outcome(row.task) is not None:
        said = f"it was retried as {row.task} already: retry that"
        return Steered(event.task, False, said, row.task, matched=False)
    with within_limits(term, [row]) as (row,):
        if row.state is State.ENDING:
            return Steered(event.task, False, row.reason)
        await admit(term, row)
    return Steered(event.task, True, f"tried again as {row.task}", row.task)
