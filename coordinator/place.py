"""Carrying out the plan: each placement is a checked write, and a plan's writes go out together."""

from collections.abc import Sequence

import anyio
import structlog

from broker.errors import BrokerError, Unanswered
from broker.pace import Pace
from coordinator import fence, moves
from coordinator.snapshot import Placement
from coordinator.term import Term
from coordinator.wants import is_overdue
from schemas.event import Assigned
from schemas.placing import Entry
from schemas.task import StoredRow

log = structlog.get_logger()

IN_FLIGHT = 256
NAMED_MAX = 5
"""Tasks named in one line of the log: a full table refuses a whole plan."""
IDLE_S = 0.5
"""How long nothing changes before the desk looks anyway: delays run out by themselves."""


async def place_tasks(term: Term) -> None:
    """Place for the length of the term."""
    placing = 0

    async def place(placements: Sequence[Placement], all_counted: bool) -> None:
        nonlocal placing
        try:
            await _place_all(term, placements, all_counted=all_counted)
        finally:
            placing -= len(placements)

    pace = Pace()
    async with anyio.create_task_group() as tasks:
        while True:
            await pace.breathe()
            free = IN_FLIGHT - placing
            placements = term.desk.plan(anyio.current_time(), free) if free else []
            if placements:
                placing += len(placements)
                tasks.start_soon(place, placements, not term.handover.inherited)
            await term.desk.changed(IDLE_S)


async def _place_all(term: Term, placements: Sequence[Placement], *, all_counted: bool = True) -> None:
    """At once those that nobody works on, each other after whoever does. One that fails stays in the queue.

    `all_counted`: nothing of an earlier leader was under way when this was planned.
    """
    free = [placement for placement in placements if placement.task not in term.locks]
    with term.locks.all_of([placement.task for placement in free]):
        failed = await _place_held(term, free, all_counted=all_counted)
    for placement in set(free) - set(failed):
        term.desk.release(placement)
    for placement in placements:
        if placement not in free:
            async with term.only(placement.task):
                failed += await _place_held(term, [placement], all_counted=all_counted)
            if placement not in failed:
                term.desk.release(placement)
    if failed:
        log.warning("placing failed, these tasks stay in the queue", count=len(failed), tasks=_some(failed))
        await anyio.sleep(IDLE_S)
        # One that was sent may land yet: where it counts against a limit it counts until that is known.
        await fence.settle_inherited(term)
        await fence.settle_patiently(term, term.handover.unsettled.intersection(map(_entry, failed)))
        for placement in failed:
            term.desk.release(placement)


async def _place_held(term: Term, placements: Sequence[Placement], *, all_counted: bool = True) -> list[Placement]:
    """Place tasks whose locks are held; those with which the broker was in trouble are returned."""
    failed: list[Placement] = []
    due: list[tuple[Placement, StoredRow]] = []
    for placement in placements:
        try:
            if (top := await _still_due(term, placement)) is not None:
                due.append((placement, top))
        except BrokerError as error:
            _failed(failed, placement, error)
    due = _still_good(term, await _written_down(term, due, failed, all_counted=all_counted))
    defaults = term.policy.aria2_options
    changes = [
        (moves.placed(top.row, one.node, one.instance, limited=one.limited, defaults=defaults), top.sequence)
        for one, top in due
    ]
    placed = []
    for (placement, _), fate in zip(due, await term.cas_all(changes), strict=True):
        if isinstance(fate, BrokerError):
            _failed(failed, placement, fate)
            continue
        term.handover.settled((_entry(placement),))
        if fate is not None:
            # Before the clean-up: the node has the row by now, and its `started` should not overtake this.
            await term.events.emit(Assigned(**term.about(fate.row), node=placement.node, why=placement.why))
            log.debug("task placed", task=placement.task, node=placement.node, attempt=fate.row.attempt)
            placed.append(placement.task)
    term.recalls.placed(placed, anyio.current_time())
    await term.tidy(*placed)
    return failed


async def _written_down(
    term: Term, due: list[tuple[Placement, StoredRow]], failed: list[Placement], *, all_counted: bool
) -> list[tuple[Placement, StoredRow]]:
    """Those that may be sent: what counts against a limit stands in the record by now, or has failed."""
    limited = [placement for placement, top in due if placement.limited or _is_owner_limited(term, top)]
    if not limited:
        return due
    try:
        if not all_counted:
            raise Unanswered("it is not known yet what an earlier leader was placing")
        await term.handover.enter([_entry(placement) for placement in limited])
    except BrokerError as error:
        for placement in limited:
            _failed(failed, placement, error)
        return [(placement, top) for placement, top in due if placement not in failed]
    return due


def _is_owner_limited(term: Term, top: StoredRow) -> bool:
    """Whether it counts against its owner's limit: unlike an origin's that is none that its node has to know."""
    return term.desk.policy.owner(top.row.owner).running is not None


def _still_good(term: Term, due: list[tuple[Placement, StoredRow]]) -> list[tuple[Placement, StoredRow]]:
    """Those whose deadline has not passed, which are the watch's, and whose node still takes tasks.

    Asked right before the write: to wait for a lock or for a slow broker may have taken long.
    """
    now = term.connection.clock.now()
    off = {one for one, top in due if is_overdue(top.row, now) or not term.desk.still_takes(one)}
    term.handover.settled(term.handover.unsettled.intersection(map(_entry, off)))
    return [(placement, top) for placement, top in due if placement not in off] if off else due


def _entry(placement: Placement) -> Entry:
    return Entry(placement.task, placement.sequence)


def _some(failed: Sequence[Placement]) -> str:
    return ", ".join(placement.task for placement in failed[:NAMED_MAX])


def _failed(failed: list[Placement], placement: Placement, error: BrokerError) -> None:
    log.debug("placing failed", task=placement.task, problem=str(error))
    failed.append(placement)


async def _still_due(term: Term, placement: Placement) -> StoredRow | None:
    """The row that the plan was made on, if it still stands and its task has not ended. Raises BrokerError."""
    top = term.book.top(placement.task)
    if top is None or top.sequence != placement.sequence or await term.is_over(top):
        return None
    return top
