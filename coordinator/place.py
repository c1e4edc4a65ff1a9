"""Carrying out the plan: each placement is a checked write."""

import anyio
import structlog

from broker.errors import BrokerError
from coordinator import moves
from coordinator.snapshot import Placement
from coordinator.term import Term
from schemas.event import Assigned

log = structlog.get_logger()

IN_FLIGHT = 128
IDLE_S = 0.5
"""How long nothing changes before the desk looks anyway: delays run out by themselves."""


async def place_tasks(term: Term) -> None:
    """Place for the length of the term."""
    limiter = anyio.CapacityLimiter(IN_FLIGHT)
    async with anyio.create_task_group() as tasks:
        while True:
            free = IN_FLIGHT - limiter.borrowed_tokens
            placements = term.desk.plan(anyio.current_time(), term.settings.node_lost_after_s, free) if free else []
            for placement in placements:
                await limiter.acquire_on_behalf_of(placement)
                tasks.start_soon(_place_one, term, placement, limiter)
            await term.desk.changed(IDLE_S)


async def _place_one(term: Term, placement: Placement, limiter: anyio.CapacityLimiter) -> None:
    try:
        async with term.only(placement.task):
            await _place(term, placement)
    except BrokerError as error:
        log.warning("placing failed, the task stays in the queue", task=placement.task, problem=str(error))
        await anyio.sleep(IDLE_S)
    finally:
        limiter.release_on_behalf_of(placement)
        term.desk.release(placement)


async def _place(term: Term, placement: Placement) -> None:
    top = term.book.top(placement.task)
    if top is None or top.sequence != placement.sequence or await term.is_over(top):
        return
    stored = await term.cas(moves.placed(top.row, placement.node, placement.instance), top.sequence)
    if stored is None:
        return
    # Before the clean-up: the node has the row by now, and its `started` should not overtake this.
    await term.events.emit(Assigned(**term.about(stored.row), node=placement.node, why=placement.why))
    log.info("task placed", node=placement.node, attempt=stored.row.attempt)
    await term.tidy(placement.task)
