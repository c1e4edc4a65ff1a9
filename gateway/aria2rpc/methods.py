"""Every method, and what it takes to call it: one table."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from gateway.aria2rpc import adding, reading, steering, whole
from gateway.aria2rpc.desk import Desk
from gateway.aria2rpc.params import Params
from schemas.apikey import Scope

MULTICALL = "system.multicall"
LIST_METHODS = "system.listMethods"
LIST_NOTIFICATIONS = "system.listNotifications"
OPEN = frozenset({LIST_METHODS, LIST_NOTIFICATIONS})
"""Nobody is asked for a secret; of a multicall each call has its own."""

Run = Callable[[Desk, Params], Awaitable[Any]]


class Method(NamedTuple):
    scope: Scope
    run: Run


READ, SUBMIT, ADMIN = Scope.READ, Scope.SUBMIT, Scope.ADMIN

METHODS: dict[str, Method] = {
    "aria2.addUri": Method(SUBMIT, adding.add_uri),
    "aria2.addTorrent": Method(SUBMIT, adding.add_torrent),
    "aria2.getPeers": Method(READ, reading.get_peers),
    "aria2.addMetalink": Method(SUBMIT, adding.add_metalink),
    "aria2.remove": Method(SUBMIT, steering.remove),
    "aria2.pause": Method(SUBMIT, steering.pause),
    "aria2.forcePause": Method(SUBMIT, steering.pause),
    "aria2.pauseAll": Method(SUBMIT, steering.pause_all),
    "aria2.forcePauseAll": Method(SUBMIT, steering.pause_all),
    "aria2.unpause": Method(SUBMIT, steering.unpause),
    "aria2.unpauseAll": Method(SUBMIT, steering.unpause_all),
    "aria2.forceRemove": Method(SUBMIT, steering.remove),
    "aria2.changePosition": Method(SUBMIT, steering.change_position),
    "aria2.tellStatus": Method(READ, reading.tell_status),
    "aria2.getUris": Method(READ, reading.get_uris),
    "aria2.getFiles": Method(READ, reading.get_files),
    "aria2.getServers": Method(READ, reading.get_servers),
    "aria2.tellActive": Method(READ, reading.tell_active),
    "aria2.tellWaiting": Method(READ, reading.tell_waiting),
    "aria2.tellStopped": Method(READ, reading.tell_stopped),
    "aria2.getOption": Method(READ, reading.get_option),
    "aria2.changeUri": Method(SUBMIT, steering.change_uri),
    "aria2.changeOption": Method(SUBMIT, steering.change_option),
    "aria2.getGlobalOption": Method(READ, whole.get_global_option),
    "aria2.changeGlobalOption": Method(ADMIN, whole.change_global_option),
    "aria2.purgeDownloadResult": Method(SUBMIT, steering.purge_download_result),
    "aria2.removeDownloadResult": Method(SUBMIT, steering.remove_download_result),
    "aria2.getVersion": Method(READ, reading.get_version),
    "aria2.getSessionInfo": Method(READ, reading.get_session_info),
    "aria2.shutdown": Method(ADMIN, whole.shutdown),
    "aria2.forceShutdown": Method(ADMIN, whole.shutdown),
    "aria2.getGlobalStat": Method(READ, reading.get_global_stat),
    "aria2.saveSession": Method(SUBMIT, whole.save_session),
}
"""In the order in which aria2 lists them."""
NAMES = (*METHODS, MULTICALL, LIST_METHODS, LIST_NOTIFICATIONS)
