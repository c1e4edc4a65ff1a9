"""Emptying nodes: the leader asks back what a draining node has not begun, or with `now` what it runs, too (rule 8)."""

from typing import NoReturn

import anyio
import structlog

from broker.errors import BrokerError
from coordinator import moves
from coordinator.term import Term
from schemas.heartbeat import Held
from schemas.nodes import NodeWishes
from schemas.task import TaskRow

log = structlog.get_logger()

ROUND_S = 0.5
"""A quarter of the time between heartbeats, which tell what a node holds."""
IN_FLIGHT = 64
"""Rows asked back at once: a node of many slots is emptied in some rounds, and others' writes go in between."""
NOT_BEGUN = frozenset({"waiting", "probing", "paused", "interrupted"})
BEGUN = frozenset({"adding", "active", "seeding", "removing"})
"""Whole files are not asked back: to hash and report them takes less time than to fetch them again."""


async def drain_nodes(term: Term) -> NoReturn:
    """Empty the nodes that are to be drained, for the length of the term."""
    limiter = anyio.CapacityLimiter(IN_FLIGHT)
    while True:
        await anyio.sleep(ROUND_S)
        due = _due(term)
        if not due:
            continue
        log.info("draining nodes", tasks=len(due))
        async with anyio.create_task_group() as tasks:
            for node, task in due:
                tasks.start_soon(_ask_back, term, node, task, limiter)


def _due(term: Term) -> list[tuple[str, str]]:
    """Nodes and tasks to be asked back from them."""
    now, lost_after_s = anyio.current_time(), term.settings.node_lost_after_s
    found = []
    for node, wishes in term.decisions.all().items():
        seen = term.fleet.get(node)
        # Who is not heard does not hear: what stands there is missed soon, and goes elsewhere.
        if not wishes.draining or seen is None or not term.fleet.is_online(node, now, lost_after_s):
            continue
        for held in seen.heartbeat.held:
            top = term.book.top(held.task)
            if top is not None and top.row.place == node and is_asked_back(wishes, held, top.row):
                found.append((node, held.task))
    return found


def is_asked_back(wishes: NodeWishes, held: Held, row: TaskRow) -> bool:
    """Whether a draining node is to give back what it holds of a row."""
    if held.attempt != row.attempt or held.phase not in (NOT_BEGUN | BEGUN if wishes.now else NOT_BEGUN):
        return False
    return moves.emptied(row, "") is not None


async def _ask_back(term: Term, node: str, task: str, limiter: anyio.CapacityLimiter) -> None:
    try:
        async with limiter, term.only(task):
            top = term.book.top(task)
            if top is None or top.row.place != node or not term.decisions.of(node).draining or await term.is_over(top):
                return
            change = moves.emptied(top.row, term.decisions.of(node).reason)
            if change is not None:
                await term.cas(change, top.sequence)  # where it is lost, the next round sees what stands now
    except BrokerError as error:
        log.warning("a task could not be asked back, trying again", task=task, node=node, problem=str(error))
