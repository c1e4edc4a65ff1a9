"""Tasks as they are listed and looked at: from the read model, and one with its timeline."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Request, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct, ValidationError
from msgspec.structs import asdict, replace

from broker import eventlog
from broker.cluster import Refused
from gateway.access import ALONE
from gateway.callers import Caller
from gateway.problems import ProblemError
from gateway.readmodel.cursors import CursorInvalid, Sort
from gateway.readmodel.model import ReadModel
from gateway.service import Gateway
from schemas.apikey import Scope
from schemas.event import AnyEvent, Finished
from schemas.filter import TaskFilter, filter_of
from schemas.ids import TASK_ID
from schemas.view import TaskView, ended

PAGE_DEFAULT, PAGE_MAX = 100, 1000
"""Tasks in one answer."""
NOBODY = "-"
"""No owner is called so."""

AnyRequest = Request[Caller, Any, Any]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)]


class TaskNow(TaskView, frozen=True, kw_only=True):
    """A task, with how far its transfer is."""

    bytes_total: int = 0
    """0 while unknown."""
    bytes_per_s: int = 0
    connections: int = 0
    eta_s: float | None = None
    """At this speed; null while nobody can tell."""


class TaskList(Struct, frozen=True):
    """A page. It may hold fewer tasks than asked for, even none, and yet not be the last."""

    tasks: tuple[TaskNow, ...]
    after: str = ""
    """Where the next page begins: ask on with `?after=`; empty after the last."""


class TaskCount(Struct, frozen=True):
    count: int


class TaskTold(Struct, frozen=True):
    """One task, and what happened to it."""

    task: TaskNow
    events: tuple[AnyEvent, ...] = ()
    """Its timeline, the oldest first."""


Told = tuple[TaskView | None, tuple[AnyEvent, ...]]


async def where_asked(
    request: AnyRequest,
    states: Annotated[list[str] | None, QueryParameter(name="state")] = None,
    tags: Annotated[list[str] | None, QueryParameter(name="tag")] = None,
    labels: Annotated[list[str] | None, QueryParameter(name="label")] = None,
    owners: Annotated[list[str] | None, QueryParameter(name="owner")] = None,
    nodes: Annotated[list[str] | None, QueryParameter(name="node")] = None,
    origins: Annotated[list[str] | None, QueryParameter(name="origin")] = None,
    text: FromQuery[str] = "",
    since: FromQuery[datetime | None] = None,
    until: FromQuery[datetime | None] = None,
) -> TaskFilter:
    """Which tasks an address asks for, of those that the caller sees. Raises ProblemError."""
    return asked_filter(
        request.user,
        states=states or (),
        tags=tags or (),
        labels=labels or (),
        owners=owners or (),
        nodes=nodes or (),
        origins=origins or (),
        text=text,
        since=since,
        until=until,
    )


WHERE = {"where": Provide(where_asked)}


@get("/tasks", opt={"scope": Scope.READ, ALONE: True}, dependencies=WHERE, tags=["tasks"])
async def tasks(
    state: State,
    where: NamedDependency[TaskFilter],
    sort: FromQuery[Sort] = Sort.NEWEST,
    limit: Limit = PAGE_DEFAULT,
    after: FromQuery[str] = "",
) -> TaskList:
    """The tasks that match all conditions; a condition given several times has alternatives, `tag` and `label` add up.

    The latest submitted or finished come first, unless `sort` says otherwise: `time`, `name`, `size`, `priority`, with
    `-` before it downwards, or `queue`: live tasks alone, as they are in line.
    """
    model: ReadModel = state.gateway.model
    try:
        page = await model.find(where, after=after, limit=limit, sort=sort)
    except CursorInvalid as error:
        raise ProblemError(400, str(error), field="after") from error
    return TaskList(tuple(now(model, view) for view in page.tasks), page.after)


@get("/tasks/count", opt={"scope": Scope.READ, ALONE: True}, dependencies=WHERE, tags=["tasks"])
async def count(state: State, where: NamedDependency[TaskFilter]) -> TaskCount:
    """How many tasks match, by the conditions of the list."""
    return TaskCount(await state.gateway.model.count(where))


@get("/tasks/{task:str}", opt={"scope": Scope.READ}, tags=["tasks"])
async def task(request: AnyRequest, state: State, task: FromPath[str]) -> TaskTold:
    """One task with its attempts and its timeline."""
    gateway: Gateway = state.gateway
    new = await gateway.fresh.found(task)
    known = new.task if new is not None else task
    if new is not None and gateway.fresh.find(known) is not None:  # it waits in the inbox, and is in no table yet
        told: Told = (new, ())
    else:
        told = await _told(gateway, known) if TASK_ID.match(task) else (None, ())
    view, events = told
    if view is None or not request.user.sees(view.owner):
        raise ProblemError(404, f"there is no task {task!r}, or not any more")
    return TaskTold(now(gateway.model, view), events)


async def _told(gateway: Gateway, task: str) -> Told:
    """A task and its events as the coordinator tells them; where none answers, from the read model and the log."""
    try:
        reply = await gateway.client.show(task)
    except Refused:
        events = tuple(stored.event for stored in await eventlog.history(gateway.client.connection, task))
        outcome = next((event for event in events if isinstance(event, Finished)), None)
        return (ended(outcome) if outcome is not None else await gateway.model.get(task)), events
    return reply.task, reply.events


def asked_filter(caller: Caller, **conditions: Any) -> TaskFilter:
    """A filter over no more than the caller sees. Raises ProblemError."""
    for name in ("since", "until"):
        moment = conditions.get(name)
        if moment is not None and moment.tzinfo is None:
            raise ProblemError(400, f"{name} needs its time zone: 2026-11-23T12:00:00Z", field=name)
    try:
        where = filter_of(**conditions)
    except ValidationError as error:
        what, _, at = str(error).partition(" - at `$.")
        raise ProblemError(
            400, what.replace("`", ""), field=at.rstrip("`").partition("[")[0].removesuffix("s")
        ) from error
    if caller.is_admin:
        return where
    # Another owner's tasks are as if they were not there.
    is_own = not where.owners or caller.owner in where.owners
    return replace(where, owners=(caller.owner,) if is_own else (NOBODY,))


def now(model: ReadModel, view: TaskView) -> TaskNow:
    """With what its node said last of its transfer."""
    told = model.live.progress_of(view)
    if told is None:
        return TaskNow(**asdict(view))
    left = max(0, told.bytes_total - told.bytes_done)
    return TaskNow(
        **asdict(view) | {"bytes": told.bytes_done},
        bytes_total=told.bytes_total,
        bytes_per_s=told.bytes_per_s,
        connections=told.connections,
        eta_s=round(left / told.bytes_per_s, 1) if told.bytes_total and told.bytes_per_s else None,
    )


ROUTES = (tasks, count, task)
