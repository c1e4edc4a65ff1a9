"""Giving a whole file its final name: never outside the download folder, never over another file.

Everything here blocks on the disk. What the disk refuses leaves as OSError.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from schemas.errors import DowndraftError
from schemas.request import STAGING_NAME

NAMES_MAX = 10_000
"""Files that may share a name as `name`, `name.1` …: past that something loops."""
NAME_BYTES_MAX = 255
"""What file systems take for one name."""
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""How file systems without hard links (FAT, some network shares) refuse one."""


class PlacementFailed(DowndraftError):
    """A whole file can't be put where it was asked for."""


def folder_for(downloads: Path, relative: PurePosixPath) -> Path:
    """The folder that is to hold `relative` below `downloads` (resolved), made if need be, with what was made synced.

    Raises PlacementFailed where that would lie outside, or where a file is in the way.
    """
    folder = downloads.joinpath(relative).parent
    _check_inside(downloads, folder, relative)
    if folder.is_dir():
        return folder
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise PlacementFailed(f"{relative} can't be stored: a file lies where its folder should be") from error
    for made in missing:
        sync(made.parent)
    return folder


def _check_inside(downloads: Path, folder: Path, relative: PurePosixPath) -> None:
    resolved = os.path.realpath(folder)  # for each file: pathlib takes ten times as long
    is_inside = os.path.commonpath((downloads, resolved)) == str(downloads)
    if not is_inside or not relative.name or ".." in relative.parts:
        raise PlacementFailed(f"{relative} would lie outside the download folder")
    if f"{resolved}/".startswith(f"{downloads / STAGING_NAME}/"):
        raise PlacementFailed(f"{relative} would lie among the unfinished downloads")


def moved(staged: Path, final: Path) -> bool:
    """Give the staged file its final name; False where another file took it meanwhile."""
    try:
        os.link(staged, final)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise PlacementFailed(f"{final.parent} is another file system than the download folder") from error
        if error.errno not in _NO_LINKS:
            raise
        return _moved_without_links(staged, final)
    return True


def _moved_without_links(staged: Path, final: Path) -> bool:
    """Reserve the name, then replace our own empty file: a crash between leaves that behind, and loses nothing."""
    try:
        os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    staged.replace(final)
    return True


def free_names(name: str) -> Iterator[str]:
    """`name.ext`, `name.1.ext`, `name.2.ext` …, each short enough for a file system."""
    yield name
    path = PurePosixPath(name)
    for number in range(1, NAMES_MAX):
        tail = f".{number}{path.suffix}"
        room = NAME_BYTES_MAX - len(tail.encode())
        yield path.stem.encode()[:room].decode(errors="ignore") + tail


def sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
