"""GIDs: a task's id, or what its client chose for it, which is kept as a label. Pure."""

import re
from collections.abc import Mapping

from gateway.aria2rpc.errors import RpcError
from schemas.view import TaskView

LABEL = "aria2.gid"
"""The label that holds a GID chosen by a client."""
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


def taken_gid() -> RpcError:
    return RpcError("No URI to download.")
