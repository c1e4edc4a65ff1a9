"""Late binding, after all: what waits in line at a node goes where a slot stays free (rule 8)."""

from typing import NoReturn

import anyio
import structlog

from coordinator import askback, idleslots
from coordinator.feed import unhurried
from coordinator.idleslots import InLine
from coordinator.term import Term
from coordinator.wants import task_of
from schemas import subjects as s
from schemas.lifecycle import Desired, State
from schemas.task import SLOT_FREE

log = structlog.get_logger()

ROUND_S = 0.5
"""A slot that is free in two rounds is not about to be filled from the queue: that takes milliseconds."""
IN_LINE = "waiting"
"""The phase of a heartbeat in which a task needs a slot and has none. What is probed will get there soon."""
AFTER_REFUSAL_S = 10.0
"""So long after the table refused a write nothing is asked back: it could not be placed elsewhere."""


async def level_lines(term: Term) -> NoReturn:
    """Ask back, for the length of the term, what waits in line at one node while another has a free slot."""
    before: dict[str, int] = {}
    while True:
        await anyio.sleep(ROUND_S)
        planner = term.desk.planner
        free = idleslots.free_slots(planner.nodes)
        lasting, before = idleslots.lasting(free, before), free
        in_line = idleslots.lines(planner.nodes) if lasting else {}
        if not in_line or not _can_place(term):
            continue
        waiting = await _waiting(term, in_line)
        lasting = idleslots.lasting(idleslots.free_slots(planner.nodes), lasting)  # others worked meanwhile
        due = [one.task.task for one in idleslots.asked_back(planner, lasting, in_line, waiting)]
        tops = [top for task in due if (top := term.book.top(task)) is not None]
        if tops and (asked := await askback.ask(term, tops, SLOT_FREE)):
            log.info("tasks in line are asked back, other nodes have free slots", tasks=asked)


def _can_place(term: Term) -> bool:
    """Whether what comes back can be placed again."""
    refused_at = term.refused_at.get(s.TASKS_STREAM)
    is_full = refused_at is not None and anyio.current_time() - refused_at < AFTER_REFUSAL_S
    return not is_full and not term.handover.inherited


async def _waiting(term: Term, in_line: dict[str, int]) -> list[InLine]:
    """What waits at these nodes, as their heartbeats tell, and has been there for a heartbeat at least."""
    now, clock = anyio.current_time(), term.connection.clock.now()
    placed_before = clock - term.settings.heartbeat_interval_s
    found: list[InLine] = []
    for node in in_line:
        seen = term.fleet.get(node)
        # Who is not heard does not hear: what stands there is missed soon, and goes elsewhere.
        if seen is None or not term.fleet.is_online(node, now, term.settings.node_lost_after_s):
            continue
        if term.decisions.of(node).paused:
            continue  # what it holds stays there, and what was stopped there looks as if it had never begun
        async for held in unhurried(seen.heartbeat.held):
            top = term.book.top(held.task)
            if held.phase != IN_LINE or top is None or held.task in term.locks:
                continue
            row = top.row
            if row.state is State.ASSIGNED and (row.place, row.attempt) == (node, held.attempt) and row.request:
                is_asked = row.code == SLOT_FREE and row.desired is Desired.RELEASE
                if is_asked or (row.desired is Desired.RUN and top.stored_at <= placed_before):
                    found.append(InLine(task_of(top), node, is_asked))
    return found
