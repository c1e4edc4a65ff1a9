"""What a node is asked about its finished files, on `downloads.nodes.<node>.<verb>`, and what it answers.

A file is named by what its `finished.completed` event says: task, path and size. `read` answers with the bytes
themselves, or with the header `Downdraft-Trouble` and a `FileRefusal` as its body; `delete` answers with `Deleted`.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

READ = "read"
DELETE = "delete"

TROUBLE_HEADER = "Downdraft-Trouble"
CHUNK_BYTES_MAX = 512 << 10
"""In one answer: half of the broker's message limit, so that other traffic of the connection gets between."""

_TaskId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
_Bytes = Annotated[int, Meta(ge=0)]


class Trouble(StrEnum):
    """Why a node does not do what was asked with a file."""

    GONE = "gone"
    """There is no such file."""
    CHANGED = "changed"
    """There is a file of that name, but of another size or digest."""
    REFUSED = "refused"
    """No plain file inside the download folder, or one that is still being downloaded."""
    INVALID = "invalid"
    """The question itself can't be understood."""
    DISK = "disk"
    """The node's disk did not let it."""


class ReadQuery(Struct, frozen=True, kw_only=True):
    """read: a part of a finished file. Length 0 asks only whether the file is there."""

    task: _TaskId
    path: str
    """Relative to the node's download folder, with `/`."""
    bytes: _Bytes
    """The size of the whole file: another one is not served."""
    offset: _Bytes = 0
    length: Annotated[int, Meta(ge=0, le=CHUNK_BYTES_MAX)] = 0


class FileRefusal(Struct, frozen=True):
    trouble: Trouble
    said: str
    """A sentence for people."""


class DeleteQuery(Struct, frozen=True, kw_only=True):
    """delete: only if it is still the very file."""

    task: _TaskId
    path: str
    bytes: _Bytes
    digest: Annotated[str, Meta(pattern=r"^sha-256=[0-9a-f]{64}\Z")]
    folder: str = ""
    """The folder of a task that brought several files, which goes with the last of them; relative likewise."""


class Deleted(Struct, frozen=True, kw_only=True):
    deleted: bool
    said: str
    """A sentence for people."""
    trouble: Trouble | None = None
    pending: bool = False
    """The file is being read to be compared, or waits for that: ask again for the end of it."""
