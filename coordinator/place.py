"""Carrying out the plan: each placement is a checked write, and a plan's writes go out together."""

from collections.abc import Sequence

import anyio
import structlog

from broker.errors import BrokerError
from broker.pace import Pace
from coordinator import moves
from coordinator.snapshot import Placement
from coordinator.term import Term
from schemas.event import Assigned
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

    async def place(placements: Sequence[Placement]) -> None:
        nonlocal placing
        try:
            await _place_all(term, placements)
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
                tasks.start_soon(place, placements)
            await term.desk.changed(IDLE_S)


async def _place_all(term: Term, placements: Sequence[Placement]) -> None:
    """At once those that nobody works on, each other after whoever does. One that fails stays in the queue."""
    free = [placement for placement in placements if placement.task not in term.locks]
    with term.locks.all_of([placement.task for placement in free]):
        failed = await _place_held(term, free)
    for placement in set(free) - set(failed):
        term.desk.release(placement)
    for placement in placements:
        if placement not in free:
            async with term.only(placement.task):
                failed += await _place_held(term, [placement])
            if placement not in failed:
                term.desk.release(placement)
    if failed:
        log.warning("placing failed, these tasks stay in the queue", count=len(failed), tasks=_some(failed))
        await anyio.sleep(IDLE_S)
        for placement in failed:
            term.desk.release(placement)


async def _place_held(term: Term, placements: Sequence[Placement]) -> list[Placement]:
    """Place tasks whose locks are held; those with which the broker was in trouble are returned."""
    failed: list[Placement] = []
    due: list[tuple[Placement, StoredRow]] = []
    for placement in placements:
        try:
            if (top := await _still_due(term, placement)) is not None:
                due.append((placement, top))
        except BrokerError as error:
            _failed(failed, placement, error)
    changes = [(moves.placed(top.row, one.node, one.instance), top.sequence) for one, top in due]
    placed = []
    for (placement, _), fate in zip(due, await term.cas_all(changes), strict=True):
        if isinstance(fate, StoredRow):
            # Before the clean-up: the node has the row by now, and its `started` should not overtake this.
            await term.events.emit(Assigned(**term.about(fate.row), node=placement.node, why=placement.why))
            log.debug("task placed", task=placement.task, node=placement.node, attempt=fate.row.attempt)
            placed.append(placement.task)
        elif fate is not None:
            _failed(failed, placement, fate)
    await term.tidy(*placed)
    return failed


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
