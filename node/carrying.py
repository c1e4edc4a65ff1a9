"""A copy on its way to another file system: where it lies is noted first, so that whatever happens it is deleted.

Everything here blocks on the disk. What the disk refuses leaves as OSError.
"""

import shutil
from contextlib import suppress
from pathlib import Path, PurePosixPath

from node.moving import PlacementFailed, check_inside, copied, sync
from schemas.request import STAGING_NAME

CARRIED_NAME = "carried"
"""Says where, on another file system, a copy of what is staged lies, or may lie, on its way to its place."""


def carried_beside(downloads: Path, staging: Path, relative: PurePosixPath) -> Path:
    """Where a copy of what is staged in `staging` is to lie, beside `relative`; from now on `let_go` deletes it."""
    carried = relative.with_name(_name(staging))
    (staging / CARRIED_NAME).write_text(carried.as_posix())
    return downloads / carried


def let_go(downloads: Path, staging: Path) -> None:
    """Delete the copy that was on its way to another file system, unless there is none."""
    note = staging / CARRIED_NAME
    try:
        carried = PurePosixPath(note.read_text())
    except FileNotFoundError:
        return
    if carried.name == _name(staging):
        with suppress(PlacementFailed):  # its folder leads elsewhere by now
            check_inside(downloads, carried)
            _delete(downloads / carried)
    note.unlink()


def copied_folder(source: Path, to: Path) -> None:
    """Copy a folder of plain files to another file system, with modes and times, and sync it; `to` was ours."""
    _delete(to)
    to.mkdir()
    for path in sorted(source.iterdir()):
        if path.is_dir():
            copied_folder(path, to / path.name)
        else:
            copied(path, to / path.name)
    shutil.copymode(source, to)
    sync(to)


def _delete(carried: Path) -> None:
    if carried.is_dir() and not carried.is_symlink():
        shutil.rmtree(carried)
    else:
        carried.unlink(missing_ok=True)


def _name(staging: Path) -> str:
    return f"{STAGING_NAME}-{staging.name}"
