"""The methods that steer: pause, go on, remove, move, limit, forget."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio

from broker.errors import BrokerError
from broker.exchange import Ask
from gateway.aria2rpc import status
from gateway.aria2rpc.desk import SETTLE_S, Desk
from gateway.aria2rpc.errors import RpcError, bad_option
from gateway.aria2rpc.gids import gid_of
from gateway.aria2rpc.optionkinds import LINES
from gateway.aria2rpc.options import FIELDS, lines_of, news, taken
from gateway.aria2rpc.params import Params
from gateway.aria2rpc.reading import told_options
from schemas import codec
from schemas import subjects as s
from schemas.control import How, Prioritise, SetLimits
from schemas.event import Dismissed
from schemas.filter import TaskFilter
from schemas.lifecycle import FINISHED, Desired
from schemas.options import DOWNLOAD_LIMIT, UPLOAD_LIMIT, limit_of
from schemas.view import TaskView

DISMISS_AT_ONCE = 64
"""Events on their way to the broker: a purge may mean a million."""
_HOW = {"POS_SET": How.SET, "POS_CUR": How.CUR, "POS_END": How.END}
UNCHANGING = frozenset(
    ("dry-run", "gid", "metalink-base-uri", "parameterized-uri", "pause", "piece-length", "rpc-save-upload-metadata")
)
"""Of these aria2 itself takes no change, and passes it over."""
MOVED_WITHIN_S = 0.3
"""A move shows within some milliseconds; one to where it stood already never does."""
_STOPPED = (status.COMPLETE, status.ERROR, status.REMOVED)


async def pause(desk: Desk, params: Params) -> Any:
    view = await desk.task(params.text(0))
    if desk.stands(view) not in (status.ACTIVE, status.WAITING):
        raise RpcError(f"GID#{gid_of(view)} cannot be paused now")
    await _wish(desk, "pause", view, f"GID#{gid_of(view)} cannot be paused now")
    await desk.settled(view.task, lambda now: now is not None and (_is_over(now) or now.desired is Desired.PAUSE))
    return gid_of(view)


async def unpause(desk: Desk, params: Params) -> Any:
    view = await desk.task(params.text(0))
    if desk.stands(view) != status.PAUSED:
        raise RpcError(f"GID#{gid_of(view)} cannot be unpaused now")
    await _wish(desk, "resume", view, f"GID#{gid_of(view)} cannot be unpaused now")
    await desk.settled(view.task, lambda now: now is not None and now.desired is not Desired.PAUSE)
    return gid_of(view)


async def pause_all(desk: Desk, _: Params) -> Any:
    await _wish_all(desk, "pause", lambda view: not _is_paused(view), paused=True)
    return "OK"


async def unpause_all(desk: Desk, _: Params) -> Any:
    await _wish_all(desk, "resume", _is_paused, paused=False)
    return "OK"


async def remove(desk: Desk, params: Params) -> Any:
    view = await desk.task(params.text(0))
    refusal = f"Active Download not found for GID#{gid_of(view)}"
    if desk.stands(view) in _STOPPED:
        raise RpcError(refusal)
    await _wish(desk, "cancel", view, refusal)
    await desk.settled(view.task, lambda now: now is not None and _is_over(now))
    return gid_of(view)


async def change_position(desk: Desk, params: Params) -> Any:
    """A position is one among the caller's waiting tasks of the same priority."""
    gid, position, how = params.text(0), params.integer(1), params.text(2)
    view = await desk.task(gid)
    if how not in _HOW:
        raise RpcError("Illegal argument.")
    refusal = RpcError(f"GID#{gid_of(view)} not found in the waiting queue.")
    if desk.stands(view) not in (status.WAITING, status.PAUSED):
        raise refusal
    results = await desk.steer("prioritise", [view.task], Prioritise(position=position, how=_HOW[how]))
    if not results or not results[0].ok or results[0].position is None:
        raise refusal
    await desk.settled(view.task, lambda now: now is None or now.order != view.order, MOVED_WITHIN_S)
    return results[0].position


async def change_option(desk: Desk, params: Params) -> Any:
    """The two limits change also while it runs, other options count when it is begun, or goes on after a pause. Where
    the file goes and where it comes from was agreed when it was submitted: only what it is now may be said again."""
    gid, given = params.text(0), params.table(1)
    view = await desk.task(gid)
    if desk.stands(view) in _STOPPED:
        raise RpcError(f"Cannot change option for GID#{gid_of(view)}")
    given = {name: value for name, value in given.items() if name not in UNCHANGING}
    told = await told_options(desk, view)
    texts = news({name: value for name, value in given.items() if isinstance(value, str)}, told)
    checked = taken(texts)
    if fixed := [name for name in texts if name in FIELDS] or [name for name in LINES if lines_of(given.get(name))]:
        raise bad_option(fixed[0])
    if not checked:
        return "OK"
    download, upload = (limit_of(checked, name) for name in (DOWNLOAD_LIMIT, UPLOAD_LIMIT))
    others = {name: value for name, value in checked.items() if name not in (DOWNLOAD_LIMIT, UPLOAD_LIMIT)}
    limits = SetLimits(download=download, upload=upload, options=dict(others))
    # With a filter, even one that all match, what means nothing for this download is left out rather than refused.
    results = await desk.steer("limit", [view.task], limits, TaskFilter())
    if not results or not (results[0].ok or not results[0].matched):
        raise RpcError(f"Cannot change option for GID#{gid_of(view)}")
    return "OK"


async def change_uri(desk: Desk, params: Params) -> Any:
    """What a task downloads from was agreed when it was submitted: a change of nothing is all that can be done."""
    view, number = await desk.task(params.text(0)), params.integer(1, low=1)
    gone, added = params.texts(2), params.texts(3)
    params.place_if_any(4)
    if desk.stands(view) in _STOPPED or gone or added:
        raise RpcError(f"Cannot remove URIs from GID#{gid_of(view)}")
    if number > max(1, len(view.files)):
        raise RpcError("fileIndex is out of range")
    return [0, 0]


async def remove_download_result(desk: Desk, params: Params) -> Any:
    view = await desk.task(params.text(0))
    if desk.stands(view) not in _STOPPED:
        raise RpcError(f"Could not remove download result of GID#{gid_of(view)}")
    await _dismiss(desk, [view])
    await desk.settled(view.task, lambda now: now is None)
    return "OK"


async def purge_download_result(desk: Desk, _: Params) -> Any:
    last = None
    async for some in desk.all_over():
        await _dismiss(desk, some)
        last = some[-1].task if some else last
    if last is not None:
        await desk.settled(last, lambda now: now is None)
    return "OK"


async def _wish_all(desk: Desk, verb: str, is_meant: Callable[[TaskView], bool], *, paused: bool) -> None:
    """Of all that live, however many: some at a time, and the last of them are waited for."""
    meant: list[str] = []
    async for some in desk.live():
        if found := [view.task for view in some if is_meant(view)]:
            meant = found
            await desk.steer(verb, meant)
    await _settled_all(desk, meant, paused=paused)


async def _wish(desk: Desk, verb: str, view: TaskView, refusal: str) -> None:
    results = await desk.steer(verb, [view.task])
    if not results or not results[0].ok:
        raise RpcError(refusal)


async def _dismiss(desk: Desk, views: list[TaskView]) -> None:
    """Their outcomes stay in the log; no list shows them any more."""
    now = datetime.now(UTC)
    for start in range(0, len(views), DISMISS_AT_ONCE):
        asks = []
        for view in views[start : start + DISMISS_AT_ONCE]:
            event = Dismissed(task=view.task, owner=view.owner, time=now, name=view.name, labels=view.labels)
            asks.append(Ask(s.event_write(view.task, event.kind, desk.gateway.writer), codec.encode(event)))
        fates = await desk.gateway.client.connection.store_all(asks)
        if failed := [fate for fate in fates if isinstance(fate, BrokerError)]:
            raise RpcError(f"not all results could be removed: {failed[0]}; ask again")


async def _settled_all(desk: Desk, tasks: list[str], *, paused: bool) -> None:
    with anyio.move_on_after(SETTLE_S):
        for task in tasks:
            await desk.settled(task, lambda now: now is None or _is_over(now) or _is_paused(now) is paused)


def _is_over(view: TaskView) -> bool:
    return view.state in FINISHED


def _is_paused(view: TaskView) -> bool:
    return view.desired is Desired.PAUSE
