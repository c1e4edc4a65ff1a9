"""The methods that steer: pause, go on, remove, move, limit, forget."""

from datetime import UTC, datetime
from typing import Any

import anyio

from broker.errors import BrokerError
from broker.exchange import Ask
from gateway.aria2rpc import status
from gateway.aria2rpc.desk import SETTLE_S, Desk
from gateway.aria2rpc.errors import RpcError, bad_option
from gateway.aria2rpc.options import checked_options, is_known
from gateway.aria2rpc.params import Params
from schemas import codec
from schemas import subjects as s
from schemas.control import How, Prioritise, SetLimits
from schemas.event import Dismissed
from schemas.lifecycle import FINISHED, Desired
from schemas.options import ALLOWED, DOWNLOAD_LIMIT, UPLOAD_LIMIT, limit_of
from schemas.view import TaskView

DISMISS_AT_ONCE = 64
"""Events on their way to the broker: a purge may mean a million."""
_HOW = {"POS_SET": How.SET, "POS_CUR": How.CUR, "POS_END": How.END}
_STOPPED = (status.COMPLETE, status.ERROR, status.REMOVED)


async def pause(desk: Desk, params: Params) -> Any:
    view = await desk.task(params.text(0))
    if desk.stands(view) not in (status.ACTIVE, status.WAITING):
        raise RpcError(f"GID#{view.task} cannot be paused now")
    await _wish(desk, "pause", view, f"GID#{view.task} cannot be paused now")
    await desk.settled(view.task, lambda now: now is not None and (_is_over(now) or now.desired is Desired.PAUSE))
    return view.task


async def unpause(desk: Desk, params: Params) -> Any:
    view = await desk.task(params.text(0))
    if desk.stands(view) != status.PAUSED:
        raise RpcError(f"GID#{view.task} cannot be unpaused now")
    await _wish(desk, "resume", view, f"GID#{view.task} cannot be unpaused now")
    await desk.settled(view.task, lambda now: now is not None and now.desired is not Desired.PAUSE)
    return view.task


async def pause_all(desk: Desk, _: Params) -> Any:
    meant = [view.task for view in await desk.live(None) if view.desired is not Desired.PAUSE]
    await desk.steer("pause", meant)
    await _settled_all(desk, meant, paused=True)
    return "OK"


async def unpause_all(desk: Desk, _: Params) -> Any:
    meant = [view.task for view in await desk.live(None) if view.desired is Desired.PAUSE]
    await desk.steer("resume", meant)
    await _settled_all(desk, meant, paused=False)
    return "OK"


async def remove(desk: Desk, params: Params) -> Any:
    view = await desk.task(params.text(0))
    refusal = f"Active Download not found for GID#{view.task}"
    if desk.stands(view) in _STOPPED:
        raise RpcError(refusal)
    await _wish(desk, "cancel", view, refusal)
    await desk.settled(view.task, lambda now: now is not None and _is_over(now))
    return view.task


async def change_position(desk: Desk, params: Params) -> Any:
    """A position is one among the caller's waiting tasks of the same priority."""
    gid, position, how = params.text(0), params.integer(1), params.text(2)
    view = await desk.task(gid)
    if how not in _HOW:
        raise RpcError("Illegal argument.")
    refusal = RpcError(f"GID#{view.task} not found in the waiting queue.")
    if desk.stands(view) not in (status.WAITING, status.PAUSED):
        raise refusal
    results = await desk.steer("prioritise", [view.task], Prioritise(position=position, how=_HOW[how]))
    if not results or not results[0].ok or results[0].position is None:
        raise refusal
    await desk.settled(view.task, lambda now: now is None or now.order != view.order)
    return results[0].position


async def change_option(desk: Desk, params: Params) -> Any:
    """The two limits change, also while it runs; what else a download was begun with stays as it is."""
    gid, given = params.text(0), params.table(1)
    view = await desk.task(gid)
    if desk.stands(view) in _STOPPED:
        raise RpcError(f"Cannot change option for GID#{view.task}")
    texts = {name: value for name, value in given.items() if isinstance(value, str) and is_known(name)}
    checked = checked_options({name: value for name, value in texts.items() if name in ALLOWED})
    if fixed := [name for name in texts if name not in (DOWNLOAD_LIMIT, UPLOAD_LIMIT)]:
        raise bad_option(fixed[0])
    if not checked:
        return "OK"
    limits = SetLimits(download=limit_of(checked, DOWNLOAD_LIMIT), upload=limit_of(checked, UPLOAD_LIMIT))
    results = await desk.steer("limit", [view.task], limits)
    if not results or not (results[0].ok or not results[0].matched):
        raise RpcError(f"Cannot change option for GID#{view.task}")
    return "OK"


async def change_uri(desk: Desk, params: Params) -> Any:
    """What a task downloads from was agreed when it was submitted: a change of nothing is all that can be done."""
    view, number = await desk.task(params.text(0)), params.integer(1, low=1)
    gone, added = params.texts(2), params.texts(3)
    params.place_if_any(4)
    if desk.stands(view) in _STOPPED or gone or added:
        raise RpcError(f"Cannot remove URIs from GID#{view.task}")
    if number > max(1, len(view.files)):
        raise RpcError("fileIndex is out of range")
    return [0, 0]


async def remove_download_result(desk: Desk, params: Params) -> Any:
    view = await desk.task(params.text(0))
    if desk.stands(view) not in _STOPPED:
        raise RpcError(f"Could not remove download result of GID#{view.task}")
    await _dismiss(desk, [view])
    return "OK"


async def purge_download_result(desk: Desk, _: Params) -> Any:
    await _dismiss(desk, await desk.over(None))
    return "OK"


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
    for view in views[-1:]:
        await desk.settled(view.task, lambda now: now is None)


async def _settled_all(desk: Desk, tasks: list[str], *, paused: bool) -> None:
    with anyio.move_on_after(SETTLE_S):
        for task in tasks:
            await desk.settled(task, lambda now: now is None or _is_over(now) or _is_paused(now) is paused)


def _is_over(view: TaskView) -> bool:
    return view.state in FINISHED


def _is_paused(view: TaskView) -> bool:
    return view.desired is Desired.PAUSE
