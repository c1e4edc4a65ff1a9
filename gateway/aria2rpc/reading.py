"""The methods that tell: of one download, of lists of them, of the whole."""

from typing import Any

from gateway.aria2rpc import status
from gateway.aria2rpc.desk import RESULTS_MAX, Desk
from gateway.aria2rpc.errors import RpcError
from gateway.aria2rpc.gids import gid_of
from gateway.aria2rpc.options import options_of
from gateway.aria2rpc.params import Params
from gateway.aria2rpc.rows import row_of
from schemas.view import TaskView

VERSION = "1.37.0"
"""Of the aria2 whose interface this is."""
FEATURES = ("BitTorrent", "GZip", "HTTPS", "Message Digest", "Metalink", "XML-RPC", "SFTP")


async def get_version(_: Desk, __: Params) -> Any:
    return {"enabledFeatures": list(FEATURES), "version": VERSION}


async def get_session_info(desk: Desk, _: Params) -> Any:
    return {"sessionId": desk.office.session}


async def tell_status(desk: Desk, params: Params) -> Any:
    view, keys = await desk.task(params.text(0)), params.texts_if_any(1)
    return desk.tell(view, keys)


async def tell_active(desk: Desk, params: Params) -> Any:
    keys = params.texts_if_any(0)
    return await desk.tell_all(await desk.running(), keys)


async def tell_waiting(desk: Desk, params: Params) -> Any:
    offset, count, keys = params.integer(0), params.integer(1, low=0), params.texts_if_any(2)
    return await desk.tell_all(await desk.waiting(offset, count), keys)


async def tell_stopped(desk: Desk, params: Params) -> Any:
    offset, count, keys = params.integer(0), params.integer(1, low=0), params.texts_if_any(2)
    return await desk.tell_all(status.window(await desk.over(), offset, count), keys)


async def get_files(desk: Desk, params: Params) -> Any:
    view = await desk.task(params.text(0))
    return status.files_of(view, status.current(view, desk.gateway.model.progress.get(view.task)))


async def get_uris(desk: Desk, params: Params) -> Any:
    view = await desk.task(params.text(0))
    if desk.stands(view) in (status.COMPLETE, status.ERROR, status.REMOVED):
        raise RpcError(f"No URI data is available for GID#{gid_of(view)}")
    return list(status.uris_of(view))


async def get_peers(desk: Desk, params: Params) -> Any:
    """Which peers a torrent has stays with its node."""
    view = await desk.task(params.text(0))
    if desk.stands(view) in (status.COMPLETE, status.ERROR, status.REMOVED):
        raise RpcError(f"No peer data is available for GID#{gid_of(view)}")
    return []


async def get_servers(desk: Desk, params: Params) -> Any:
    view = await desk.task(params.text(0))
    if desk.stands(view) != status.ACTIVE:
        raise RpcError(f"No active download for GID#{gid_of(view)}")
    return status.servers_of(view, status.current(view, desk.gateway.model.progress.get(view.task)))


async def get_option(desk: Desk, params: Params) -> Any:
    """Of a live one as its row has them; of an ended one what its listing tells."""
    return await told_options(desk, await desk.task(params.text(0)))


async def told_options(desk: Desk, view: TaskView) -> dict[str, str]:
    """getOption's answer."""
    stored = await row_of(desk.gateway.client.connection, view.task) if view.finished is None else None
    told = options_of(stored.row.request if stored is not None else None)
    if stored is None:
        told["dir"] = status.folder(view)
        limits = (("max-download-limit", view.download_limit), ("max-upload-limit", view.upload_limit))
        told |= {name: str(limit) for name, limit in limits if limit is not None}
    return told


async def get_global_stat(desk: Desk, _: Params) -> Any:
    active, waiting, stopped = await desk.stats()
    heard = [status.current(view, desk.gateway.model.progress.get(view.task)) for view in active]
    return {
        "downloadSpeed": str(sum(live.bytes_per_s for live in heard if live is not None)),
        "numActive": str(len(active)),
        "numStopped": str(min(stopped, RESULTS_MAX)),
        "numStoppedTotal": str(stopped),
        "numWaiting": str(waiting),
        "uploadSpeed": "0",
    }
