"""Giving a whole file its final name: inside the download folder, and over another file only where that is asked.

Everything here blocks on the disk. What the disk refuses leaves as OSError.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from node.hashing import digest_of
from schemas.errors import DowndraftError
from schemas.names import shortened
from schemas.request import STAGING_NAME

NAMES_MAX = 10_000
"""Files that may share a name as `name`, `name.1` …: past that something loops."""
COPY_BLOCK_BYTES = 1 << 20
BLOCK_UNIT_BYTES = 512
"""The unit of st_blocks, whatever the file system's own."""
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""How file systems without hard links (FAT, some network shares) refuse one."""


class PlacementFailed(DowndraftError):
    """A whole file can't be put where it was asked for."""


class NameTaken(PlacementFailed):
    """A file lies there already, and the request wants no other name."""


class Modes(NamedTuple):
    """Permission bits of what is stored; None: what the process's umask leaves."""

    file: int | None = None
    folder: int | None = None

    @classmethod
    def of(cls, file: str, folder: str) -> "Modes":
        """From octal texts, as settings have them; empty: not set."""
        return cls(int(file, 8) if file else None, int(folder, 8) if folder else None)


@contextmanager
def lengths_told(relative: PurePosixPath) -> Iterator[None]:
    """A path that is too long for the file system leaves as PlacementFailed."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise PlacementFailed(f"{str(relative)[:80]}… is too long for the file system") from error


def folder_for(downloads: Path, relative: PurePosixPath, mode: int | None = None) -> Path:
    """The folder that is to hold `relative` below `downloads` (resolved), made if need be, with what was made synced.

    Raises PlacementFailed where that would lie outside, or where a file is in the way.
    """
    folder = downloads.joinpath(relative).parent
    check_inside(downloads, relative)
    if folder.is_dir():
        return folder
    for one in reversed([folder, *(one for one in folder.parents if not one.exists())]):
        try:
            one.mkdir(exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise PlacementFailed(f"{relative} can't be stored: a file lies where its folder should be") from error
        if mode is not None:
            one.chmod(mode)
        sync(one.parent)
    return folder


def check_inside(downloads: Path, relative: PurePosixPath) -> None:
    """Raises PlacementFailed for a path whose folder leads out of `downloads` (resolved), or into staging."""
    resolved = os.path.realpath(downloads.joinpath(relative).parent)  # for each file: pathlib takes ten times as long
    is_inside = os.path.commonpath((downloads, resolved)) == str(downloads)
    if not is_inside or not relative.name or ".." in relative.parts:
        raise PlacementFailed(f"{relative} would lie outside the download folder")
    # Some file systems take capitals for small letters.
    if f"{resolved}{os.sep}"[len(f"{downloads}{os.sep}") :].casefold().startswith(f"{STAGING_NAME}{os.sep}"):
        raise PlacementFailed(f"{relative} would lie among the unfinished downloads")


def moved(staged: Path, final: Path) -> bool:
    """Give the staged file its final name; False where another file took it meanwhile."""
    try:
        os.link(staged, final)
    except FileExistsError:
        return False
    except OSError as error:
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
    try:
        staged.replace(final)
    except OSError:
        final.unlink()
        raise
    return True


def replace(staged: Path, final: Path) -> None:
    """Give the staged file its final name, in one step, whatever file or link had it. Raises PlacementFailed."""
    if final.is_dir() and not final.is_symlink():
        raise PlacementFailed(f"{final.name} can't be replaced: it is a folder")
    staged.replace(final)


def copied(staged: Path, to: Path) -> None:
    """Copy a file to another file system, with its mode and time, and sync it; what lies at `to` was ours."""
    to.unlink(missing_ok=True)
    found = staged.stat()
    with staged.open("rb") as source, to.open("xb") as target:
        shutil.copyfileobj(source, target, COPY_BLOCK_BYTES)
    to.chmod(stat.S_IMODE(found.st_mode))
    os.utime(to, ns=(found.st_atime_ns, found.st_mtime_ns))
    sync(to)


def same_content(final: Path, size: int | None, checksum: str) -> tuple[os.stat_result, str] | None:
    """What lies at `final` and its `sha-256=<hex>`, where it is a plain file of that content; links are not followed.

    `size` of None: of any size. `checksum`: `<type>=<hex>` of the content.
    """
    try:
        before = final.lstat()
        if not stat.S_ISREG(before.st_mode) or (size is not None and before.st_size != size):
            return None
        digest, is_same = digest_of(final, checksum)
        after = final.lstat()
    except FileNotFoundError:
        return None
    untouched = (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)
    return (before, digest) if is_same and untouched else None


def free_names(name: str) -> Iterator[str]:
    """`name.ext`, `name.1.ext`, `name.2.ext` …, each short enough for a file system."""
    yield name
    for number in range(1, NAMES_MAX):
        yield shortened(name, tail=f".{number}")


def used_bytes(found: os.stat_result) -> int:
    """What a file takes on the disk, holes left out; its length, where the system does not tell."""
    blocks: int | None = getattr(found, "st_blocks", None)
    return found.st_size if blocks is None else blocks * BLOCK_UNIT_BYTES


def sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, survive a power cut."""
    if os.name == "nt" and path.is_dir():
        return  # there folders are not opened
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
