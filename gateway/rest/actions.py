"""`POST /tasks/actions`: the same for many tasks, named or found by a filter."""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated

import anyio
from litestar import post
from litestar.params import JSONBody
from msgspec import Meta, Struct
from msgspec.structs import replace

from broker.cluster import Refused
from gateway.readmodel.model import Page
from gateway.rest.asking import Asked, client_of, gateway_of
from gateway.rest.steering import TaskChange
from schemas.apikey import Scope
from schemas.control import IDS_MAX, Cancel, Steer, Steered
from schemas.errors import RequestInvalid
from schemas.filter import TaskFilter
from schemas.meant import MEANT, chunks, misfit, narrowed
from schemas.view import TaskView

TASKS_MAX = 10_000
"""Of one call: a leader cancels so many in some ten seconds."""
FOR_S = 20.0
"""After so long the answer says how far it came; whoever waits by HTTP has little more patience."""
PAGE = 500
TaskName = Annotated[str, Meta(max_length=64)]
"""What may be a task id; the coordinator tells of each that is none."""


class Verb(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    CANCEL = "cancel"
    PRIORITISE = "prioritise"
    LIMIT = "limit"


class Action(TaskChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do, and to which tasks: `ids`, those that match `where`, or those of `ids` that match it."""

    verb: Verb
    ids: Annotated[tuple[TaskName, ...], Meta(max_length=TASKS_MAX)] = ()
    where: TaskFilter | None = None
    everything: bool = False
    """Every task that the caller may see: what an empty filter means must be said."""
    dry_run: bool = False
    """Tell which tasks are meant, and do nothing."""
    keep_partial: bool = False
    """cancel: keep what has come so far."""
    after: str = ""
    """`after` of the answer before: go on with a filter from there."""

    def steer(self) -> Steer:
        """What the verb needs to know. Raises RequestInvalid."""
        place, limits = self.place, self.limits
        if self.verb is Verb.PRIORITISE:
            if place is None:
                raise RequestInvalid("priority", "say a priority, or a position")
            return place
        if self.verb is Verb.LIMIT:
            if limits is None:
                raise RequestInvalid("download_limit", "say download_limit or upload_limit; 0 for none")
            return limits
        if place is not None or limits is not None:
            field = "download_limit" if place is None else "priority"
            raise RequestInvalid(field, f"means nothing to {self.verb}; use the verb prioritise or limit")
        return Cancel(keep_partial=self.keep_partial) if self.verb is Verb.CANCEL else Steer()

    def check(self, asked: Steer) -> None:
        """Whether it is clear what is meant. Raises RequestInvalid."""
        is_named = bool(self.ids or (self.where is not None and not self.where.is_empty))
        if is_named == self.everything:
            said = "name tasks or a filter; for every task say everything: true"
            raise RequestInvalid("everything" if is_named else "where", said)
        if trouble := misfit(self.verb, self.where or TaskFilter(), asked):
            raise RequestInvalid("where.states", trouble)


class ActionDone(Struct, frozen=True, kw_only=True):
    """How far it came."""

    verb: Verb
    done: int = 0
    failed: int = 0
    left_alone: int = 0
    """Did not match any more when it was their turn, or there was nothing to do."""
    meant: int = 0
    """`dry_run`: tasks that would be asked for."""
    results: tuple[Steered, ...] = ()
    """One for each task that was asked for, in order."""
    more: bool = False
    """There are more: ask again, with `after` where a filter was given, with the ids that have no result otherwise."""
    after: str = ""


@post("/tasks/actions", opt={"scope": Scope.SUBMIT}, status_code=200, tags=["tasks"])
async def act(request: Asked, data: JSONBody[Action]) -> ActionDone:
    """Do the same to many tasks. Up to 10,000 a call, for 20 seconds at most: `more` says that it is not the end."""
    asked = data.steer()
    data.check(asked)
    if data.ids:
        return await _act_on_ids(request, data, asked)
    return await _act_by_filter(request, data, asked)


async def _act_on_ids(request: Asked, action: Action, asked: Steer) -> ActionDone:
    ids = tuple(dict.fromkeys(action.ids))
    await gateway_of(request).fresh.claimed(ids)
    if action.dry_run:
        views = [await gateway_of(request).model.get(task) for task in ids]
        meant = [
            view
            for view in views
            if view is not None
            and request.user.sees(view.owner)
            and (action.where is None or action.where.matches(view))
            and MEANT[action.verb](view)
        ]
        return _would_do(action, meant)
    _check_position(action, len(ids))
    results: list[Steered] = []
    until = anyio.current_time() + FOR_S
    for chunk in chunks(ids, asked):
        if not await _ask(request, action, chunk, action.where, asked, results) or anyio.current_time() >= until:
            break
    return _summed(action, results, more=len(results) < len(ids))


async def _act_by_filter(request: Asked, action: Action, asked: Steer) -> ActionDone:
    where = narrowed(action.verb, _scoped(request, action.where or TaskFilter()), asked)
    results: list[Steered] = []
    found: list[TaskView] = []
    after, is_cut = action.after, False
    until = anyio.current_time() + FOR_S
    async for page in _pages(request, where, after):
        meant = [view for view in page.tasks if MEANT[action.verb](view)]
        found += meant
        if not action.dry_run and action.position is None:
            parts = chunks([view.task for view in meant], asked)
            if not all([await _ask(request, action, part, where, asked, results) for part in parts]):
                is_cut = True
                break  # whoever goes on begins with this page again
        after = page.after
        if anyio.current_time() >= until or len(found) + PAGE > TASKS_MAX:
            break
    if action.dry_run:
        return replace(_would_do(action, found), more=bool(after), after=after)
    if action.position is not None:
        _check_position(action, len(found))
        found.sort(key=lambda view: (view.order, view.task))  # they keep their order
        await _ask(request, action, tuple(view.task for view in found), where, asked, results)
    return replace(_summed(action, results, more=is_cut or bool(after)), after=after)


def _check_position(action: Action, count: int) -> None:
    if action.position is not None and count > IDS_MAX:
        raise RequestInvalid("position", f"at most {IDS_MAX:,} tasks can be moved together, not {count:,}")


def _scoped(request: Asked, where: TaskFilter) -> TaskFilter:
    """Only what the caller may see."""
    owners = request.user.owners
    if not owners:
        return where
    if where.owners and not set(owners) & set(where.owners):
        raise RequestInvalid("where.owners", f"this key sees the tasks of {owners[0]!r} alone")
    return replace(where, owners=owners)


async def _pages(request: Asked, where: TaskFilter, after: str) -> AsyncIterator[Page]:
    """What matches, page by page."""
    while True:
        page = await gateway_of(request).model.find(where, after=after, limit=PAGE)
        yield page
        if not (after := page.after):
            return


async def _ask(
    request: Asked,
    action: Action,
    ids: tuple[str, ...],
    where: TaskFilter | None,
    asked: Steer,
    results: list[Steered],
) -> bool:
    """One ask. False where the coordinator went away half-way. Raises Refused where nothing was done yet."""
    if not ids:
        return True
    try:
        results += (await client_of(request).steer(action.verb, ids, where, asked)).results
    except Refused:
        if not results:
            raise
        return False
    return True


def _would_do(action: Action, views: list[TaskView]) -> ActionDone:
    results = tuple(Steered(view.task, False, f"would be asked to {action.verb}: it is {view.state}") for view in views)
    return ActionDone(verb=action.verb, meant=len(views), results=results)


def _summed(action: Action, results: list[Steered], *, more: bool) -> ActionDone:
    done = sum(result.ok for result in results)
    failed = sum(not result.ok and result.matched for result in results)
    return ActionDone(
        verb=action.verb,
        done=done,
        failed=failed,
        left_alone=len(results) - done - failed,
        meant=len(results),
        results=tuple(results),
        more=more,
    )


ROUTES = [act]
