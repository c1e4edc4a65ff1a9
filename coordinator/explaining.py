"""The verb `explain`: why a task stands where it stands, and what keeps it waiting."""

from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from coordinator.listing import Listing, Reaches
from coordinator.story import story
from coordinator.term import Term
from coordinator.verdicts import Explanation
from schemas.control import ErrorReply, ExplainQuery, ExplainReply, Placed
from schemas.event import Assigned, Event
from schemas.ids import TASK_ID
from schemas.lifecycle import State
from schemas.task import StoredRow
from schemas.view import TaskView, asks_for

PLACED_MAX = 20
"""Times of being placed that are told: as many attempts as a row remembers."""


Judge = Callable[[StoredRow], Explanation]
"""The same filters, scorers and limits that placing goes by, asked about one live task."""


async def explain(term: Term, listing: Listing, judge: Judge, asked: ExplainQuery, reaches: Reaches) -> msgspec.Struct:
    """Answer `explain`. Raises BrokerError."""
    task = asked.id
    if not TASK_ID.match(task):
        return ErrorReply(f"{task!r} is not a task id: 16 hex digits are")
    found = await story(term, listing, task)
    view, top = found.view, found.row
    if view is None or not reaches(view.owner):
        return ErrorReply(f"there is no task {task}")
    reply = _told(view, found.events)
    if top is None or top.row.state is State.ENDING:
        return reply
    judged = judge(top)
    return replace(
        reply,
        strategy=judged.strategy,
        waits_for=judged.waits_for if top.row.state is State.QUEUED else (),
        ahead=judged.ahead if top.row.state is State.QUEUED else None,
        nodes=judged.nodes,
    )


def _told(view: TaskView, events: Iterable[Event]) -> ExplainReply:
    """What is known without looking at the nodes."""
    placed = [
        Placed(time=event.time, attempt=event.attempt, node=event.node, why=event.why)
        for event in events
        if isinstance(event, Assigned)
    ]
    last = placed[-1] if placed else None
    # A whole file may come from an attempt before the last one.
    node = view.node or (last.node if last is not None and view.finished else "")
    return ExplainReply(
        task=view.task,
        owner=view.owner,
        state=view.state,
        name=view.name,
        priority=view.priority,
        submitted=view.submitted,
        finished=view.finished,
        node=node,
        why=next((one.why for one in reversed(placed) if one.node == node), ""),
        reason=view.reason,
        desired=view.desired,
        asks_for=tuple(asks_for(view)),
        placed=tuple(placed[-PLACED_MAX:]),
    )
