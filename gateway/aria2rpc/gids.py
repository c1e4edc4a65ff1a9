"""What clients know a task by: its GID, which is its id or what its client chose, and a torrent's info hash. Pure.

What only this interface has a word for is kept in labels, which every outcome repeats.
"""

import base64
import re
from collections.abc import Mapping
from urllib.parse import unquote

from gateway.aria2rpc.errors import RpcError
from schemas.payload import is_magnet
from schemas.view import TaskView

LABEL = "aria2.gid"
"""The label that holds a GID chosen by a client."""
HASH_LABEL = "aria2.infohash"
"""The label that says of a torrent that it is one, and which."""
_HASH = re.compile(r"[0-9a-f]{40}")
_TOPIC = re.compile(r"urn:btih:([0-9a-fA-F]{40}|[A-Za-z2-7]{32})")
_WHOLE = re.compile(r"(?!0{16})[0-9a-f]{16}")


def gid_of(view: TaskView) -> str:
    """The GID that clients know a task by."""
    return gid_from(view.task, view.labels)


def gid_from(task: str, labels: Mapping[str, str]) -> str:
    chosen = labels.get(LABEL, "")
    return chosen if _WHOLE.fullmatch(chosen) else task


def chosen_gid(given: str) -> str:
    """A GID that a client chose; empty for none. Raises RpcError, in aria2's words, for what is none."""
    if given and not _WHOLE.fullmatch(given.lower()):
        raise taken_gid()
    return given.lower()


def info_hash(view: TaskView) -> str:
    """Of a torrent, as far as it is known; empty for any other download."""
    told = hash_from(view.labels)
    if told or not view.uris or not is_magnet(view.uris[0]):
        return told
    topic = _TOPIC.search(unquote(view.uris[0]))
    if topic is None:
        return ""
    found = topic[1]
    return found.lower() if len(found) == 40 else base64.b32decode(found.upper()).hex()


def hash_from(labels: Mapping[str, str]) -> str:
    told = labels.get(HASH_LABEL, "")
    return told if _HASH.fullmatch(told) else ""


def taken_gid() -> RpcError:
    return RpcError("No URI to download.")
