"""Control verbs, answered by the leading coordinator: steer tasks, and look at them."""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import msgspec
import structlog

from broker.errors import BrokerError
from broker.eventlog import history
from broker.service import Handler, service
from coordinator import moves, views
from coordinator.claim import admit
from coordinator.term import Term
from schemas import __version__, codec
from schemas import subjects as s
from schemas.control import (
    ErrorReply,
    ListQuery,
    NodesReply,
    ShowQuery,
    ShowReply,
    StatsReply,
    Steer,
    Steered,
    SteerReply,
)
from schemas.event import Finished, Paused, Resumed
from schemas.ids import ADMIN_CALLER, TASK_ID, task_id
from schemas.lifecycle import Desired, State
from schemas.task import StoredRow

log = structlog.get_logger()

ANSWER_WITHIN_S = 8.0
"""Below a caller's usual patience: a late answer would be sent to nobody."""
STEER_IN_FLIGHT = 64

Steering = Callable[[Term, StoredRow], Awaitable[Steered | None]]
"""One step on a task's true row. None: the row changed under it, look again."""


async def answer(term: Term) -> None:
    """Serve `downloads.control.<caller>.<verb>` for the length of the term."""
    verbs: dict[str, Callable[[Term, str, bytes], Awaitable[msgspec.Struct]]] = {
        "cancel": partial(_steer, step=partial(_wish, asked=Desired.CANCEL)),
        "pause": partial(_steer, step=partial(_wish, asked=Desired.PAUSE)),
        "resume": partial(_steer, step=partial(_wish, asked=Desired.RUN)),
        "retry": partial(_steer, step=_retry_live),
        "clear": _clear,
        "list": _list,
        "show": _show,
        "nodes": _nodes,
        "stats": _stats,
    }
    endpoints: dict[str, Handler] = {s.control("*", verb): _guarded(term, work) for verb, work in verbs.items()}
    async with service(
        term.connection,
        name="downdraft-control",
        version=__version__,
        description="Steer and inspect the tasks of this cluster",
        endpoints=endpoints,
    ):
        await anyio.sleep_forever()


def _guarded(term: Term, work: Callable[[Term, str, bytes], Awaitable[msgspec.Struct]]) -> Handler:
    """Decode errors and broker trouble become an answer that says so."""

    async def handle(subject: str, body: bytes) -> bytes:
        caller = subject.split(".")[2]
        try:
            with anyio.fail_after(ANSWER_WITHIN_S):
                return codec.encode(await work(term, caller, body or b"{}"))
        except msgspec.MsgspecError as error:
            where, what = codec.explain(error)
            return codec.encode(ErrorReply(f"{where}: {what}" if where else what))
        except TimeoutError:
            return codec.encode(ErrorReply("not done in time; it may still happen: look, then ask again"))
        except BrokerError as error:
            return codec.encode(ErrorReply(f"the broker is in trouble: {error}"))

    return handle


def may(caller: str, owner: str) -> bool:
    """Whether a caller reaches an owner's tasks."""
    return caller in (ADMIN_CALLER, owner)


async def _steer(term: Term, caller: str, body: bytes, *, step: Steering) -> SteerReply:
    asked = codec.decode(body, Steer)
    results: dict[str, Steered] = {}
    limiter = anyio.CapacityLimiter(STEER_IN_FLIGHT)

    async def one(task: str) -> None:
        async with limiter:
            results[task] = await _steer_one(term, caller, task, asked, step)

    async with anyio.create_task_group() as tasks:
        for task in dict.fromkeys(asked.ids):
            tasks.start_soon(one, task)
    return SteerReply(tuple(results[task] for task in dict.fromkeys(asked.ids)))


async def _steer_one(term: Term, caller: str, task: str, asked: Steer, step: Steering) -> Steered:
    if not TASK_ID.match(task):
        return Steered(task, False, "not a task id: 16 hex digits are")
    async with term.only(task):
        while True:
            top = term.book.top(task) or await term.refresh(task)
            if top is None or await term.is_over(top):
                return await _finished(term, caller, task, step)
            if not may(caller, top.row.owner):
                return Steered(task, False, "no such task")
            # Checked after the row is read: a leader that slept must not carry out yesterday's wish.
            if asked.deadline is not None and term.now() > asked.deadline:
                return Steered(task, False, "too late: the request's own deadline has passed")
            done = await step(term, top)
            if done is not None:
                return done


async def _finished(term: Term, caller: str, task: str, step: Steering) -> Steered:
    """What a verb does to a task that has ended: nothing, but for `retry`."""
    stored = await term.events.outcome(task)
    if stored is None or not may(caller, stored.event.owner):
        return Steered(task, False, "no such task")
    event = stored.event
    assert isinstance(event, Finished)
    outcome = event.kind.removeprefix("finished.")
    if step is not _retry_live:
        return Steered(task, False, f"it is {outcome} already")
    return await _retry_finished(term, event, outcome)


async def _wish(term: Term, top: StoredRow, *, asked: Desired) -> Steered | None:
    row = top.row
    waited_s = term.connection.clock.now() - top.stored_at
    change = moves.wished(row, asked, waited_s=waited_s)
    if change is None:
        said = {State.ENDING: "it is ending already"}.get(row.state, f"it is to {row.desired} already")
        return Steered(row.task, row.desired is asked, said)
    if isinstance(change, moves.End):
        return Steered(row.task, True, "cancelled") if await term.apply(top, change) else None
    if await term.cas(change, top.sequence) is None:
        return None
    if row.state is State.QUEUED and asked in (Desired.PAUSE, Desired.RUN):
        kind = Paused if asked is Desired.PAUSE else Resumed
        await term.events.emit(kind(**term.about(change)))
    said = {Desired.CANCEL: "being cancelled", Desired.PAUSE: "paused", Desired.RUN: "resumed"}[asked]
    return Steered(row.task, True, said)


async def _retry_live(term: Term, top: StoredRow) -> Steered | None:
    change = moves.due_at_once(top.row)
    if change is None:
        return Steered(top.row.task, False, "it has not ended, and does not wait for a next try")
    if await term.cas(change, top.sequence) is None:
        return None
    return Steered(top.row.task, True, "tried again now")


async def _retry_finished(term: Term, event: Finished, outcome: str) -> Steered:
    if event.request is None:
        said = "its request held secrets, which are not kept once a task has ended: submit it again"
        if outcome == "rejected":
            said = "its request was rejected: submit a corrected one"
        return Steered(event.task, False, said)
    source = f"retry:{event.task}"
    row = moves.claimed(
        task=task_id(event.owner, source),
        owner=event.owner,
        source=source,
        request=msgspec.structs.replace(event.request, not_before=None, deadline=None),
        submitted=term.now(),
        retry_of=event.task,
    )
    if await term.events.outcome(row.task) is not None:
        return Steered(event.task, False, f"it was retried as {row.task} already: retry that", row.task)
    await admit(term, row)
    return Steered(event.task, True, f"tried again as {row.task}", row.task)


async def _clear(term: Term, caller: str, body: bytes) -> SteerReply:
    """Cancel what is queued: of these ids, or all that the caller reaches."""
    asked = codec.decode(body, Steer)
    queued = [
        top.row.task
        for top in term.book.tops()
        if top.row.state is State.QUEUED and may(caller, top.row.owner) and (not asked.ids or top.row.task in asked.ids)
    ]
    wanted = msgspec.structs.replace(asked, ids=tuple(queued))
    return await _steer(term, caller, codec.encode(wanted), step=partial(_wish, asked=Desired.CANCEL))


async def _list(term: Term, caller: str, body: bytes) -> msgspec.Struct:
    query = codec.decode(body, ListQuery)
    return views.page(term, query, lambda owner: may(caller, owner))


async def _show(term: Term, caller: str, body: bytes) -> msgspec.Struct:
    task = codec.decode(body, ShowQuery).id
    if not TASK_ID.match(task):
        return ErrorReply(f"{task!r} is not a task id: 16 hex digits are")
    events = await history(term.connection, task)
    top = term.book.top(task) or await term.refresh(task)
    ended = next((stored for stored in events if isinstance(stored.event, Finished)), None)
    view = views.finished(ended) if ended else views.live(term, top) if top else None
    if view is None or not may(caller, view.owner):
        return ShowReply(None)
    return ShowReply(view, tuple(stored.event for stored in events))


async def _nodes(term: Term, caller: str, body: bytes) -> msgspec.Struct:
    return NodesReply(views.nodes(term, with_tasks=caller == ADMIN_CALLER))


async def _stats(term: Term, caller: str, body: bytes) -> StatsReply:
    return views.stats(term)
