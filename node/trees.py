"""The files of a placed folder: their names made safe, found again, deleted.

Every function that takes a folder blocks on the disk: call it in a thread. What the disk refuses leaves as OSError.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from msgspec import Struct

from schemas.names import NAME_BYTES_MAX
from schemas.request import STAGING_NAME

PATH_BYTES_MAX = 1024
"""Of a path inside the folder; longer ones lie in it by their last name alone."""
NAMELESS = "unnamed"
_REPLACED = str.maketrans({"\\": "_", "\x7f": "_"} | {chr(code): "_" for code in range(32)})
"""Control characters, and what some systems take for a slash."""


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


def safe_name(name: str) -> str:
    """A name as any file system takes it: no part of a path, no control character, at most NAME_BYTES_MAX bytes."""
    name = name.encode(errors="replace").decode().replace("/", "_").translate(_REPLACED).strip()
    if name in {"", ".", ".."}:
        return NAMELESS
    if name.casefold() == STAGING_NAME:
        name = f"_{name}"
    return _shortened(name, "")


def safe_paths(names: Sequence[str]) -> list[PurePosixPath]:
    """Paths for files that somebody else named, each below one folder and no two the same, in the given order.

    Also on a file system that takes capitals for small letters; no file is where another one's folder is.
    """
    taken: dict[tuple[str, ...], str] = {}
    paths = []
    for name in names:
        *folders, last = [safe_name(part) for part in name.replace("\\", "/").split("/") if part] or [NAMELESS]
        if len(name.encode(errors="replace")) > PATH_BYTES_MAX:
            folders = []
        path: tuple[str, ...] = ()
        for folder in folders:
            path = _free(path, folder, taken, is_folder=True)
        paths.append(PurePosixPath(*_free(path, last, taken, is_folder=False)))
    return paths


def numbered(name: str, number: int, *, keep_suffix: bool = True) -> str:
    """`name.1.ext` for `name.ext`; for a folder `name.1`."""
    path = PurePosixPath(name)
    suffix = path.suffix if keep_suffix else ""
    return _shortened(path.stem if keep_suffix else name, f".{number}{suffix}")


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


def _free(folder: tuple[str, ...], name: str, taken: dict[tuple[str, ...], str], *, is_folder: bool) -> tuple[str, ...]:
    """The name, or one beside it, that is free in the folder; a folder is entered again under its first spelling.

    `taken`: by the path without capitals, the spelling of a folder; empty for a file.
    """
    number = 0
    while True:
        candidate = numbered(name, number, keep_suffix=not is_folder) if number else name
        key = (*(part.casefold() for part in folder), candidate.casefold())
        if key not in taken:
            taken[key] = candidate if is_folder else ""
            return *folder, candidate
        if is_folder and taken[key]:
            return *folder, taken[key]
        number += 1


def _is_there(folder: Path, one: PlacedFile) -> bool:
    try:
        found = (folder / one.path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (one.bytes, one.inode, one.modified_ns) == (found.st_size, found.st_ino, found.st_mtime_ns)


def _folders(folder: Path, path: str) -> Iterator[Path]:
    return (folder / one for one in PurePosixPath(path).parents)


def _shortened(name: str, tail: str) -> str:
    room = NAME_BYTES_MAX - len(tail.encode())
    if len(name.encode()) <= room:
        return name + tail
    suffix = PurePosixPath(name).suffix
    suffix = "" if tail or len(suffix.encode()) > room // 2 else suffix
    return name.encode()[: room - len(suffix.encode())].decode(errors="ignore").rstrip() + suffix + tail
