"""A task as aria2 tells of a download: every number a string. Pure."""

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from typing import Any

from gateway.aria2rpc.defaults import FOLDER
from gateway.aria2rpc.gids import gid_of, info_hash
from gateway.aria2rpc.paths import shown
from schemas.heartbeat import Progress
from schemas.lifecycle import Desired, State
from schemas.view import TaskView

PIECE_BYTES = 1 << 20
"""What aria2 divides a file into unless told otherwise."""
PIECES_MAX = 4096
"""Of one file: pieces of a larger one are larger, so that a list of a thousand stays below a megabyte."""
NODE = "node"
"""A field of Downdraft's own, which clients pass over: where the download is."""
ACTIVE, WAITING, PAUSED, COMPLETE, ERROR, REMOVED = "active", "waiting", "paused", "complete", "error", "removed"
_ENDED = {State.COMPLETED: COMPLETE, State.FAILED: ERROR, State.REJECTED: ERROR, State.CANCELLED: REMOVED}
_OK, _UNKNOWN, _NOT_FOUND, _EXISTS, _HTTP, _REMOVED = "0", "1", "3", "13", "22", "31"


def current(view: TaskView, progress: Progress | None) -> Progress | None:
    """What was said last of this very attempt, not of one before."""
    return progress if progress is not None and progress.attempt == view.attempt else None


def standing(view: TaskView, live: Progress | None, *, has_begun: bool = False) -> str:
    """aria2's word. `live`: from `current`; `has_begun`: its node said so of this attempt."""
    if view.state in _ENDED:
        return _ENDED[view.state]
    if view.desired is Desired.PAUSE:
        return PAUSED
    runs = view.state in (State.ACTIVE, State.ENDING) or (view.state is State.ASSIGNED and (live or has_begun))
    return ACTIVE if runs else WAITING


def status_of(view: TaskView, live: Progress | None, stands: str, keys: Collection[str] = ()) -> dict[str, Any]:
    """tellStatus; `keys`: only these fields, all where there are none."""
    done, total = _bytes(view, live)
    piece = _piece_bytes(total)
    told: dict[str, Any] = {
        "completedLength": str(done),
        "connections": str(live.connections if live and stands == ACTIVE else 0),
        "dir": folder(view),
        "downloadSpeed": str(live.bytes_per_s if live and stands == ACTIVE else 0),
        "files": files_of(view, live),
        "gid": gid_of(view),
        "numPieces": str(-(-total // piece)),
        "pieceLength": str(piece),
        "status": stands,
        "totalLength": str(total),
        "uploadLength": "0",
        "uploadSpeed": "0",
        NODE: view.node,
    }
    if total:
        told["bitfield"] = bitfield(done, total, piece)
    if stands in (COMPLETE, ERROR, REMOVED):
        told |= {"errorCode": error_code(view), "errorMessage": "" if stands == COMPLETE else view.reason}
    if found := info_hash(view):
        told |= {
            "bittorrent": {"announceList": [], "info": {"name": view.name}},
            "infoHash": found,
            "numSeeders": "0",
            "seeder": str(live is not None and live.phase == "seeding").lower(),
        }
    return {key: value for key, value in told.items() if key in keys} if keys else told


def bitfield(done: int, total: int, piece: int) -> str:
    """Which pieces are there, in hex digits. A node tells how much it has, not where: it stands at the beginning."""
    pieces = -(-total // piece)
    whole = pieces if done >= total else done // piece
    bits = -(-pieces // 8) * 8
    return f"{((1 << whole) - 1) << (bits - whole):0{bits // 4}x}"


def _piece_bytes(total: int) -> int:
    piece = PIECE_BYTES
    while total > piece * PIECES_MAX:
        piece *= 2
    return piece


def files_of(view: TaskView, live: Progress | None) -> list[dict[str, Any]]:
    """getFiles: numbered from 1."""
    done, total = _bytes(view, live)
    if view.files:
        return [
            _file(number, f"{FOLDER}/{one.path}", one.bytes, one.bytes, ()) for number, one in enumerate(view.files, 1)
        ]
    path = f"{FOLDER}/{view.path}" if view.path else ""
    return [_file(1, path or (f"{folder(view)}/{view.name}" if view.name else ""), total, done, uris_of(view))]


def uris_of(view: TaskView) -> tuple[dict[str, str], ...]:
    """getUris."""
    used = "waiting" if view.state is State.QUEUED else "used"
    return tuple({"status": used, "uri": uri} for uri in view.uris)


def servers_of(view: TaskView, live: Progress | None) -> list[dict[str, Any]]:
    """getServers. A node tells one speed for a task: with several addresses none can be told of each."""
    speed = live.bytes_per_s if live is not None and len(view.uris) == 1 else 0
    servers = [{"currentUri": uri, "downloadSpeed": str(speed), "uri": uri} for uri in view.uris]
    return [{"index": "1", "servers": servers}]


def folder(view: TaskView) -> str:
    """Where the file lies, or the folder of several."""
    if not view.path:
        return f"{FOLDER}/{shown(view.dir)}" if view.dir else FOLDER
    parent = PurePosixPath(view.path).parent
    return FOLDER if parent == PurePosixPath(".") else f"{FOLDER}/{parent}"


def error_code(view: TaskView) -> str:
    """aria2's exit status for how it ended."""
    if view.state is State.COMPLETED:
        return _OK
    if view.state is State.CANCELLED:
        return _REMOVED
    code = view.history[-1].code if view.history else ""
    if code.startswith("aria2-"):
        return code.removeprefix("aria2-")
    if code.startswith("http-"):
        return _NOT_FOUND if code in ("http-404", "http-410") else _HTTP
    return _EXISTS if code == "exists" else _UNKNOWN


def window(listed: Sequence[Any], offset: int, count: int) -> list[Any]:
    """tellWaiting's and tellStopped's part of a list: a negative offset counts from the end, and goes backwards."""
    if offset >= 0:
        return list(listed[offset : offset + count])
    last = len(listed) + offset
    return [] if last < 0 else [listed[at] for at in range(last, max(last - count, -1), -1)]


def _bytes(view: TaskView, live: Progress | None) -> tuple[int, int]:
    """What is there, and what there is in all; 0 while that is unknown."""
    if view.state is State.COMPLETED:
        return view.bytes, view.bytes
    return (live.bytes_done, live.bytes_total) if live is not None else (0, 0)


def _file(number: int, path: str, total: int, done: int, uris: Sequence[dict[str, str]]) -> dict[str, Any]:
    return {
        "completedLength": str(done),
        "index": str(number),
        "length": str(total),
        "path": path,
        "selected": "true",
        "uris": list(uris),
    }
