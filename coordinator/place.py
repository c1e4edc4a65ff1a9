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
            placements = term.desk.plan(anyio.current_time(), term.settings.node_lost_after_s, free) if free else []
            if placements:
                placing += len(placements)
                tasks.start_soon(place, placements)
            await term.desk.changed(IDLE_S)


async def _place_all(term: Term, placements: Sequence[Placement]) -> None:
    """At once those that nobody works on, each other after whoever does."""
    unsettled = {placement.task: placement for placement in placements}
    try:
        free = [placement for placement in placements if placement.task not in term.locks]
        with term.locks.all_of([placement.task for placement in free]):
            await _place_held(term, free)
        for placement in free:
            term.desk.release(unsettled.pop(placement.task))
        for placement in tuple(unsettled.values()):
            async with term.only(placement.task):
                await _place_held(term, [placement])
            term.desk.release(unsettled.pop(placement.task))
    except BrokerError as error:
        log.warning("placing failed, the tasks stay in the queue", tasks=len(unsettled), problem=str(error))
        await anyio.sleep(IDLE_S)
    finally:
        for placement in unsettled.values():
            term.desk.release(placement)


async def _place_held(term: Term, placements: Sequence[Placement]) -> None:
    """Place tasks whose locks are held. Raises BrokerError when all that could be placed is."""
    due = [(placement, top) for placement in placements if (top := await _still_due(term, placement)) is not None]
    changes = [(moves.placed(top.row, one.node, one.instance), top.sequence) for one, top in due]
    fates = await term.cas_all(changes)
    placed = []
    for (placement, _), fate in zip(due, fates, strict=True):
        if isinstance(fate, StoredRow):
            # Before the clean-up: the node has the row by now, and its `started` should not overtake this.
            await term.events.emit(Assigned(**term.about(fate.row), node=placement.node, why=placement.why))
            log.debug("task placed", task=placement.task, node=placement.node, attempt=fate.row.attempt)
            placed.append(placement.task)
    await term.tidy(*placed)
    for fate in fates:
        if isinstance(fate, BrokerError):
            raise fate


async def _still_due(term: Term, placement: Placement) -> StoredRow | None:
    """The row that the plan was made on, if it still stands and its task has not ended."""
    top = term.book.top(placement.task)
    if top is None or top.sequence != placement.sequence or await term.is_over(top):
        return None
    return top
