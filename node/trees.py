"""The files of a placed folder: their names made safe, found again, deleted.

Every function that takes a folder blocks on the disk: call it in a thread. What the disk refuses leaves as OSError.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from msgspec import Struct

from schemas.names import NAME_BYTES_MAX, portable, shortened

PATH_BYTES_MAX = 1024
"""Of a path inside the folder; longer ones lie in it by their last name alone."""
FOLDERS_MAX = 32
"""… and so do those in more folders, one inside the other."""
NAMELESS = "unnamed"


class PlacedFile(Struct, frozen=True):
    """A file of a placed folder."""

    path: str
    """Relative to that folder, with `/`."""
    bytes: int
    digest: str
    """`sha-256=<hex>`."""
    inode: int
    modified_ns: int
    """With the inode, what makes the file ours and no other."""


class _Folder:
    """The names that are taken in a folder, whatever their capitals."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: dict[str, tuple[str, _Folder]] = {}
        """The first spelling of each, and what is taken in it."""
        self._tried: dict[tuple[str, bool], int] = {}
        """The number that a name got last: of thousands of files called the same none tries all numbers anew."""

    def file(self, name: str) -> str:
        """The name, or the first beside it that is free."""
        spelling = self._free(name, is_folder=False)
        self._files.add(spelling.casefold())
        return spelling

    def folder(self, name: str) -> tuple[str, "_Folder"]:
        """The folder of that name, or beside a file that is called so: its spelling, and what is taken in it."""
        spelling = self._free(name, is_folder=True)
        return self._folders.setdefault(spelling.casefold(), (spelling, _Folder()))

    def _free(self, name: str, *, is_folder: bool) -> str:
        key = name.casefold(), is_folder
        number = self._tried.get(key, 0)
        while True:
            candidate = numbered(name, number, keep_suffix=not is_folder) if number else name
            folded = candidate.casefold()
            if folded not in self._files and (is_folder or folded not in self._folders):
                self._tried[key] = number
                return candidate
            number += 1


def safe_name(name: str) -> str:
    """A name that somebody else chose, as every platform takes it: no part of a path, and never empty."""
    return portable(name) or NAMELESS


def safe_paths(names: Sequence[str]) -> list[PurePosixPath]:
    """Paths for files that somebody else named, each below one folder and no two the same, in the given order.

    Also on a file system that takes capitals for small letters; no file is where another one's folder is.
    """
    top = _Folder()
    paths = []
    for name in names:
        *folders, last = [part for part in name.replace("\\", "/").split("/") if part] or [NAMELESS]
        if len(folders) > FOLDERS_MAX or len(name.encode(errors="replace")) > PATH_BYTES_MAX:
            folders = []
        inside, path = top, []
        for folder in folders:
            spelling, inside = inside.folder(safe_name(folder))
            path.append(spelling)
        paths.append(PurePosixPath(*path, inside.file(safe_name(last))))
    return paths


def numbered(name: str, number: int, *, keep_suffix: bool = True) -> str:
    """`name.1.ext` for `name.ext`; for a folder `name.1`."""
    tail = f".{number}"
    return shortened(name, tail=tail) if keep_suffix else shortened(name, NAME_BYTES_MAX - len(tail)) + tail


def lie_there(folder: Path, files: Iterable[PlacedFile]) -> bool:
    """Whether each of the files is the very one that was placed."""
    return all(_is_there(folder, one) for one in files)


def remove(folder: Path, files: Iterable[PlacedFile]) -> None:
    """Delete those of the files that still are the very ones, and the folders that are empty then."""
    folders = {folder}
    for one in files:
        if _is_there(folder, one):
            (folder / one.path).unlink()
        folders.update(_folders(folder, one.path))
    for empty in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):  # somebody else's files are in it
            empty.rmdir()


def files_below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """All that lies below a folder and is no folder, links as such; what goes meanwhile is passed over."""
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                yield Path(root, name), os.lstat(os.path.join(root, name))  # noqa: PTH118 - for each of very many


def _is_there(folder: Path, one: PlacedFile) -> bool:
    try:
        found = (folder / one.path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (one.bytes, one.inode, one.modified_ns) == (found.st_size, found.st_ino, found.st_mtime_ns)


def _folders(folder: Path, path: str) -> Iterator[Path]:
    return (folder / one for one in PurePosixPath(path).parents)
