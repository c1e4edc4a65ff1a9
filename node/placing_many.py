"""Several files of one task get their place together: a folder of their own, by one move.

What is to be moved is written down first, so that a crash at any point leaves it to be found and repeated. Everything
blocks on the disk: call it in a thread. What the disk refuses leaves as OSError.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from node.carrying import carried_beside, copied_folder, let_go
from node.files import Placed, Store
from node.moving import NAMES_MAX, Modes, NameTaken, PlacementFailed, lengths_told, sync
from node.staging import JOURNAL_NAME
from node.trees import PlacedFile, files_below, numbered
from schemas import codec

PLAN_NAME = "placing.json"
"""In the staging folder: what was about to be placed."""
TREE_NAME = "tree"
"""In the staging folder: the folder that is put together, to be moved as a whole."""
_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})
"""How systems refuse to move a folder to where something is."""


class StagedFile(Struct, frozen=True):
    """A whole file of a task, as it is staged."""

    source: str
    """Relative to the task's staging folder, with `/`."""
    path: str
    """Where it is to lie in the task's own folder: see `trees.safe_paths`."""
    digest: str
    """`sha-256=<hex>`; empty where the node takes none."""


class _Plan(Struct, frozen=True):
    folder: str
    files: tuple[StagedFile, ...]
    seconds: float
    attempt: int
    is_exact: bool = False


def place_all(
    store: Store,
    task: str,
    folder: PurePosixPath,
    files: Sequence[StagedFile],
    *,
    seconds: float,
    attempt: int,
    is_exact: bool = False,
) -> Placed:
    """Move the staged files to `folder`, or beside it to `folder.1` …, which never is one that exists.

    `is_exact`: to no other; raises NameTaken where something is there.

    May be repeated after a crash. When this returns, the files' bytes survive a power cut; the folder's name does
    after `Store.sync_names`. Raises PlacementFailed, or OSError when the disk refuses.
    """
    if (placed := place_again(store, task)) is not None:
        return placed
    plan = _Plan(folder.as_posix(), tuple(files), seconds, attempt, is_exact)
    for path in (folder, *(PurePosixPath(one.path) for one in files)):
        if path.is_absolute() or ".." in path.parts or not path.name:
            raise PlacementFailed(f"{path} would lie outside the download folder")
    with lengths_told(folder):
        store.folder_for(folder)  # is it allowed at all?
    for one in files:
        _check_plain(store.staging(task) / one.source)
    _write(store.staging(task), PLAN_NAME, codec.encode(plan))
    return _carry_out(store, task, plan)


def place_again(store: Store, task: str) -> Placed | None:
    """What was placed, or was about to be when a process died: then it is now. None where it was neither."""
    if (placed := store.journal(task)) is not None:
        return placed
    try:
        plan = codec.decode((store.staging(task) / PLAN_NAME).read_bytes(), _Plan)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    if not _is_complete(store.staging(task), plan):
        return None  # moved, and changed by somebody since; or deleted in part
    return _carry_out(store, task, plan)


def _is_complete(staging: Path, plan: _Plan) -> bool:
    tree = staging / TREE_NAME
    return all((staging / one.source).is_file() or (tree / one.path).is_file() for one in plan.files)


def _carry_out(store: Store, task: str, plan: _Plan) -> Placed:
    staging = store.staging(task)
    files = _put_together(staging, plan, store.modes)
    wanted = Placed(
        path=plan.folder,
        bytes=sum(one.bytes for one in files),
        digest="",
        seconds=plan.seconds,
        attempt=plan.attempt,
        inode=(staging / TREE_NAME).stat().st_ino,
        modified_ns=0,
        files=tuple(files),
    )
    with lengths_told(PurePosixPath(plan.folder)):
        try:
            placed = _move(store, task, staging / TREE_NAME, wanted, is_exact=plan.is_exact)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            placed = _move_by_copy(store, task, wanted, is_exact=plan.is_exact)
    (staging / PLAN_NAME).unlink(missing_ok=True)
    return placed


def _move_by_copy(store: Store, task: str, wanted: Placed, *, is_exact: bool) -> Placed:
    """Move what is put together to a folder on another file system."""
    staging = store.staging(task)
    carried = carried_beside(store.downloads, staging, PurePosixPath(wanted.path))
    copied_folder(staging / TREE_NAME, carried)
    files = tuple(_as_it_lies(carried, one) for one in wanted.files)
    wanted = msgspec.structs.replace(wanted, inode=carried.stat().st_ino, files=files)
    placed = _move(store, task, carried, wanted, is_exact=is_exact)
    let_go(store.downloads, staging)
    return placed


def _as_it_lies(folder: Path, one: PlacedFile) -> PlacedFile:
    found = (folder / one.path).stat()
    return PlacedFile(one.path, found.st_size, one.digest, found.st_ino, found.st_mtime_ns)


def _put_together(staging: Path, plan: _Plan, modes: Modes) -> list[PlacedFile]:
    """All files in one folder, each where it is to lie, and nothing else; synced."""
    tree = staging / TREE_NAME
    tree.mkdir(exist_ok=True)
    wanted = {tree / one.path for one in plan.files}
    sources = {staging / one.source for one in plan.files}
    for path, _ in list(files_below(tree)):
        if path not in wanted and path not in sources:
            path.unlink()
    files = []
    for one in plan.files:
        source, target = staging / one.source, tree / one.path
        if source != target and source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        if modes.file is not None:
            target.chmod(modes.file)
        sync(target)
        files.append(_as_it_lies(tree, PlacedFile(one.path, 0, one.digest, 0, 0)))
    for root, folders, _ in os.walk(tree, topdown=False):
        for name in folders:
            if not any(os.scandir(Path(root, name))):
                Path(root, name).rmdir()
        if modes.folder is not None:
            Path(root).chmod(modes.folder)
        sync(Path(root))
    return files


def _move(store: Store, task: str, tree: Path, wanted: Placed, *, is_exact: bool) -> Placed:
    """Move the folder `tree` to the path wanted or the next free one beside it; what became of it."""
    relative = PurePosixPath(wanted.path)
    parent = store.folder_for(relative)
    staging = store.staging(task)
    _give_up_name(store, task)
    for name in _names(relative.name):
        final = parent / name
        if os.path.lexists(final) or not _reserve(final):
            if is_exact:
                raise NameTaken(f"{relative} exists already")
            continue
        placed = msgspec.structs.replace(wanted, path=relative.with_name(name).as_posix())
        _write(staging, JOURNAL_NAME, codec.encode(placed))
        if _moved(tree, final):
            return placed
    raise PlacementFailed(f"{NAMES_MAX} files are called like {relative} already")


def _moved(tree: Path, final: Path) -> bool:
    """Replace our own empty folder; False where somebody put something into it just now."""
    try:
        tree.rename(final)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        with suppress(OSError):
            final.rmdir()
        raise
    return True


def _reserve(final: Path) -> bool:
    """Take a name by an empty folder, which a move replaces; False where another took it meanwhile.

    A crash before the journal is written leaves that behind, and loses nothing.
    """
    if os.name == "nt":
        return True  # there a move never replaces anything
    try:
        final.mkdir()
    except FileExistsError:
        return False
    return True


def _give_up_name(store: Store, task: str) -> None:
    """Delete the empty folder by which a process that died had taken a name."""
    try:
        before = codec.decode((store.staging(task) / JOURNAL_NAME).read_bytes(), Placed)
        (store.downloads / before.path).rmdir()
    except (OSError, msgspec.MsgspecError):
        return


def _check_plain(source: Path) -> None:
    if not stat.S_ISREG(source.lstat().st_mode):
        raise PlacementFailed(f"what was downloaded as {source.name!r} is no plain file")


def _write(folder: Path, name: str, body: bytes) -> None:
    """All of it or nothing, for a process that is killed."""
    scratch = folder / f"{name}.new"
    scratch.write_bytes(body)
    scratch.replace(folder / name)


def _names(name: str) -> Iterator[str]:
    yield name
    yield from (numbered(name, number, keep_suffix=False) for number in range(1, NAMES_MAX))


def forget_tree(store: Store, task: str) -> None:
    """Delete what was put together, or kept to be, of a task that starts over."""
    (store.staging(task) / PLAN_NAME).unlink(missing_ok=True)
    shutil.rmtree(store.staging(task) / TREE_NAME, ignore_errors=True)
