"""The files of one task that are downloaded one behind the other, and which of them are whole already.

A whole part is kept where all are put together, beside a note of what it is: a node that starts anew goes on with the
next. What touches the disk blocks: call it in a thread; what the disk refuses leaves as OSError.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from node.files import Placed, Store
from node.guard import VALIDATORS_NAME
from node.moving import sync
from node.placing_many import TREE_NAME, StagedFile, place_all
from node.staging import CONTROL_NAME, DATA_NAME, SPLIT_NAME
from node.trees import safe_paths
from schemas import codec
from schemas.request import Request

PARTS_NAME = "parts.json"


class Part(Struct, frozen=True):
    """One file."""

    path: str
    """Where it is to lie in the task's folder: see `trees.safe_paths`."""
    key: str
    """Another one is another file."""
    request: Request
    """What is to be downloaded, as if it had been asked for alone."""


class WholePart(Struct, frozen=True):
    """What is kept of a part that is whole."""

    path: str
    bytes: int
    digest: str
    inode: int
    modified_ns: int
    """With the inode, what makes it the file that was checked."""


class Progress(Struct, frozen=True):
    """How far all parts are together."""

    done: int = 0
    """Bytes of the whole ones."""
    total: int = 0
    """0 while unknown."""


class Parts:
    """Of one task of this process."""

    def __init__(self, name: str, parts: Sequence[Part], whole: dict[str, WholePart]) -> None:
        """`name`: of the file, or of the folder of several; `whole`: by key."""
        self.name = name
        self._parts = tuple(parts)
        self._whole = whole

    def __repr__(self) -> str:
        return f"<Parts {len(self._whole)} of {len(self._parts)} whole>"

    @property
    def is_alone(self) -> bool:
        """One file is placed like any other."""
        return len(self._parts) == 1

    @property
    def current(self) -> Part | None:
        """The next that is not whole; None where all are."""
        return next((part for part in self._parts if part.key not in self._whole), None)

    @property
    def whole(self) -> tuple[WholePart, ...]:
        return tuple(self._whole.values())

    @property
    def progress(self) -> Progress:
        sizes = [whole.bytes if (whole := self._whole.get(one.key)) else one.request.size_bytes for one in self._parts]
        known = [size for size in sizes if size is not None]
        return Progress(
            sum(whole.bytes for whole in self._whole.values()), sum(known) if len(known) == len(sizes) else 0
        )

    def keep(self, store: Store, task: str, digest: str) -> None:
        """The staged file is the current part, whole and checked: make way for the next."""
        part = self.current
        assert part is not None
        data, staging = store.data(task), store.staging(task)
        sync(data)
        found = data.stat()
        whole = WholePart(part.path, found.st_size, digest, found.st_ino, found.st_mtime_ns)
        # Written first: a crash before the move leaves a file that is known to be this part.
        _write(staging, {**self._whole, part.key: whole})
        _move(store, task, whole)
        self._whole[part.key] = whole

    def place(
        self, store: Store, task: str, folder: PurePosixPath, *, seconds: float, attempt: int, is_exact: bool
    ) -> Placed:
        """Move all of them to their folder, as `place_all`. Raises PlacementFailed."""
        files = [
            StagedFile(f"{TREE_NAME}/{whole.path}", whole.path, whole.digest)
            for whole in (self._whole[part.key] for part in self._parts)
        ]
        return place_all(store, task, folder, files, seconds=seconds, attempt=attempt, is_exact=is_exact)


def kept_parts(store: Store, task: str, parts: Sequence[Part]) -> dict[str, WholePart]:
    """Which of the parts an earlier process, or attempt, left whole; by key."""
    try:
        kept = codec.decode((store.staging(task) / PARTS_NAME).read_bytes(), dict[str, WholePart])
    except (OSError, msgspec.MsgspecError):
        return {}
    found: dict[str, WholePart] = {}
    for part in parts:
        whole = kept.get(part.key)
        if whole is None or whole.path != part.path:
            continue
        if _is(store.data(task), whole):
            _move(store, task, whole)
        if _is(store.staging(task) / TREE_NAME / whole.path, whole):
            found[part.key] = whole
    return found


def kept_of_parts(store: Store, task: str, parts: Parts | None) -> list[StagedFile]:
    """What is staged of a task of several parts: those that are whole, and what came of the next as `<path>.part`.

    `parts` of None: this process has not looked at them, and knows of the whole ones alone. Of a single one nothing.
    """
    if parts is not None and parts.is_alone:
        return []
    whole = parts.whole if parts is not None else _written(store, task)
    tree, data = store.staging(task) / TREE_NAME, store.data(task)
    found = [StagedFile(f"{TREE_NAME}/{one.path}", one.path, one.digest) for one in whole if _is(tree / one.path, one)]
    if parts is not None and (part := parts.current) is not None and data.is_file() and data.stat().st_size:
        # A whole one may be called so already.
        *_, path = safe_paths([*(one.path for one in found), f"{part.path}.part"])
        found.append(StagedFile(DATA_NAME, path.as_posix(), ""))
    return found


def _written(store: Store, task: str) -> tuple[WholePart, ...]:
    try:
        return tuple(codec.decode((store.staging(task) / PARTS_NAME).read_bytes(), dict[str, WholePart]).values())
    except (OSError, msgspec.MsgspecError):
        return ()


def _move(store: Store, task: str, whole: WholePart) -> None:
    """Out of the way of the next part, with nothing left by which that would be taken for a partial."""
    staging = store.staging(task)
    target = staging / TREE_NAME / whole.path
    target.parent.mkdir(parents=True, exist_ok=True)
    for name in (CONTROL_NAME, SPLIT_NAME, VALIDATORS_NAME):
        (staging / name).unlink(missing_ok=True)
    store.data(task).replace(target)


def _is(path: Path, whole: WholePart) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return (whole.bytes, whole.inode, whole.modified_ns) == (found.st_size, found.st_ino, found.st_mtime_ns)


def _write(staging: Path, whole: dict[str, WholePart]) -> None:
    scratch = staging / f"{PARTS_NAME}.new"
    scratch.write_bytes(codec.encode(whole))
    scratch.replace(staging / PARTS_NAME)
