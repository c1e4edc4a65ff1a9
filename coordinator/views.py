"""What the control verbs show: rows, heartbeats and outcomes put together, without secrets."""

from collections import Counter
from collections.abc import Callable
from itertools import islice

import anyio
from msgspec.structs import replace

from broker.eventlog import StoredEvent
from coordinator.term import Term
from schemas.control import ListQuery, ListReply, NodeView, StatsReply, TaskView
from schemas.event import Cancelled, Completed, Failed, Rejected
from schemas.heartbeat import Held
from schemas.lifecycle import State
from schemas.redact import redact_uri
from schemas.task import StoredRow

RUNNING_PHASES = frozenset({"active", "verifying", "reporting"})


def state_of(stored: StoredRow, held: Held | None) -> State:
    """A row's state with what its node said last: `active` is known from heartbeats, it needs no write."""
    row = stored.row
    if row.state is State.ASSIGNED and held is not None and held.phase in RUNNING_PHASES:
        return State.ACTIVE
    return row.state


def live(term: Term, stored: StoredRow) -> TaskView:
    """A task that has not ended."""
    row, request = stored.row, stored.row.request
    held = _held(term, stored)
    return TaskView(
        task=row.task,
        owner=row.owner,
        state=state_of(stored, held),
        name=request.title if request else "",
        uris=tuple(redact_uri(uri) for uri in request.uris) if request else (),
        node="" if row.state is State.QUEUED else row.place,
        attempt=row.attempt,
        failures=row.failures,
        desired=row.desired,
        phase=held.phase if held else "",
        tags=request.tags if request else (),
        labels=request.labels if request else {},
        priority=request.priority if request else 0,
        reason=row.reason,
        submitted=row.submitted,
        due_in_s=round(term.desk.due_in_s(stored), 1) if row.state is State.QUEUED else 0.0,
        history=row.history,
    )


def finished(stored: StoredEvent) -> TaskView:
    """A task that has ended, from its outcome event."""
    event = stored.event
    assert isinstance(event, Completed | Failed | Cancelled | Rejected)
    view = TaskView(
        task=event.task,
        owner=event.owner,
        state=State(event.kind.removeprefix("finished.")),
        name=event.name,
        uris=tuple(redact_uri(uri) for uri in event.request.uris) if event.request else (),
        tags=event.request.tags if event.request else (),
        attempt=event.attempt,
        labels=event.labels,
        finished=event.time,
    )
    match event:
        case Completed():
            return replace(
                view,
                node=event.node,
                path=event.path,
                bytes=event.bytes,
                digest=event.digest,
                seconds=event.seconds,
            )
        case Failed():
            return replace(view, reason=event.reason, history=event.history)
        case Cancelled() | Rejected():
            return replace(view, reason=event.reason)


def page(term: Term, query: ListQuery, reaches: Callable[[str], bool]) -> ListReply:
    """Live tasks by id; the caller asks on with the last id it got."""
    tasks = sorted(task for task in term.book.tasks() if task > query.after)
    views = (live(term, top) for task in tasks if (top := term.book.top(task)) and reaches(top.row.owner))
    wanted = (view for view in views if not query.states or view.state in query.states)
    found = tuple(islice(wanted, query.limit + 1))
    return ListReply(found[: query.limit], more=len(found) > query.limit)


def nodes(term: Term, *, with_tasks: bool) -> tuple[NodeView, ...]:
    """The fleet as heard; which tasks a node holds is for admins."""
    now, lost_after_s = anyio.current_time(), term.settings.node_lost_after_s
    return tuple(
        NodeView(
            node=seen.heartbeat.node,
            online=term.fleet.is_online(seen.heartbeat.node, now, lost_after_s),
            heard_ago_s=round(now - seen.heard_at, 1),
            assigned=term.book.count_at(seen.heartbeat.node),
            heartbeat=seen.heartbeat if with_tasks else replace(seen.heartbeat, held=()),
        )
        for seen in term.fleet
    )


def stats(term: Term) -> StatsReply:
    online = [view for view in nodes(term, with_tasks=False) if view.online]
    states = Counter(str(state_of(top, _held(term, top))) for top in term.book.tops())
    return StatsReply(
        leader=term.name,
        epoch=term.epoch,
        states=dict(states),
        outcomes={str(outcome): count for outcome, count in term.outcomes.items()},
        nodes_online=len(online),
        bytes_per_s=sum(view.heartbeat.bytes_per_s for view in online),
        ignored_facts=term.ignored_facts,
        undecodable=term.undecodable,
    )


def _held(term: Term, stored: StoredRow) -> Held | None:
    """What the row's node last said it does with this attempt."""
    seen = term.fleet.get(stored.row.place)
    if seen is None:
        return None
    for held in seen.heartbeat.held:
        if held.task == stored.row.task and held.attempt == stored.row.attempt:
            return held
    return None
