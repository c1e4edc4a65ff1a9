"""A node's finished files: reading a part of one, deleting one. Only plain files inside the download folder.

Every method blocks on the disk: call them in a thread. What can't be done leaves as FileRefused.

A path is resolved once and then opened folder by folder without following links, so that a link put in its way in
between is met with a refusal, not followed.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from schemas.errors import DowndraftError
from schemas.request import STAGING_NAME
from schemas.transfer import Trouble

BLOCK_BYTES = 1 << 20
STEP_BYTES = 64 << 20
"""Hashed at a time: between two steps a node that is told to stop can do so."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe must not hold up its opening
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
_NO_FILE = frozenset({errno.ELOOP, errno.EMLINK, errno.ENXIO})
"""How systems refuse to follow a link, or to open a socket."""


class FileRefused(DowndraftError):
    """A file is not served or deleted; `trouble` says which kind of reason the message gives."""

    def __init__(self, trouble: Trouble, said: str) -> None:
        super().__init__(said)
        self.trouble = trouble


def inner_path(path: str) -> PurePosixPath:
    """The path if it stays below the folder it is relative to, links aside, and out of staging. Raises FileRefused."""
    relative = PurePosixPath(path)
    if "\0" in path or not _can_be_encoded(path) or not relative.parts:
        raise FileRefused(Trouble.INVALID, f"{path!r} is no path of a file")
    if relative.is_absolute() or ".." in relative.parts:
        raise FileRefused(Trouble.REFUSED, f"{path!r} would lie outside the download folder")
    if relative.parts[0].casefold() == STAGING_NAME:  # some file systems take capitals for small letters
        raise FileRefused(Trouble.REFUSED, f"{path!r} lies among the unfinished downloads")
    return relative


class Finished:
    """The finished files of one node."""

    def __init__(self, downloads: Path) -> None:
        self._root = downloads.resolve()

    def __repr__(self) -> str:
        return f"<Finished {self._root}>"

    def read(self, path: str, *, size: int, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on, of a file that has `size` bytes. Raises FileRefused."""
        if offset + length > size:
            raise FileRefused(Trouble.INVALID, f"bytes {offset} to {offset + length} are not in a file of {size}")
        with _translated(path), ExitStack() as stack:
            _, descriptor = self._open(path, size, stack)
            return _read_at(descriptor, offset, length)

    def deletion(self, path: str, *, size: int, digest: str) -> "Deletion":
        """Open a file that is to be deleted if its digest is `sha-256=<hex>`. Raises FileRefused."""
        with _translated(path), ExitStack() as stack:
            folder, descriptor = self._open(path, size, stack)
            return Deletion(path, folder, descriptor, digest, stack.pop_all())

    def tidy(self, path: str, folder: str) -> None:
        """Delete the folders from that of `path` up to `folder`, as far as they are empty. Raises FileRefused."""
        inner, outer = inner_path(path).parent, inner_path(folder)
        while inner.parts[: len(outer.parts)] == outer.parts:
            try:
                with ExitStack() as stack:
                    os.rmdir(inner.name, dir_fd=self._open_folder(inner.parent, stack))
            except (OSError, FileRefused):
                return  # something else is in it, or it is gone
            inner = inner.parent

    def _open(self, path: str, size: int, stack: ExitStack) -> tuple[int, int]:
        """Descriptors of the file's folder and of the file, closed with `stack`."""
        relative = inner_path(path)
        folder = self._open_folder(relative.parent, stack)
        descriptor = os.open(relative.name, _FILE, dir_fd=folder)
        stack.callback(os.close, descriptor)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FileRefused(Trouble.REFUSED, f"{path!r} is no plain file")
        if found.st_size != size:
            raise FileRefused(Trouble.CHANGED, f"{path!r} has {found.st_size} bytes now, not {size}")
        return folder, descriptor

    def _open_folder(self, relative: PurePosixPath, stack: ExitStack) -> int:
        real = Path(os.path.realpath(self._root / relative))
        if not real.is_relative_to(self._root):
            raise FileRefused(Trouble.REFUSED, f"{str(relative)!r} leads out of the download folder")
        parts = real.relative_to(self._root).parts
        if parts and parts[0].casefold() == STAGING_NAME:
            raise FileRefused(Trouble.REFUSED, f"{str(relative)!r} leads to the unfinished downloads")
        descriptor = os.open(self._root, _FOLDER)
        stack.callback(os.close, descriptor)
        for part in parts:
            descriptor = os.open(part, _FOLDER, dir_fd=descriptor)
            stack.callback(os.close, descriptor)
        return descriptor


class Deletion:
    """A file that is read once more, step by step, and deleted if it is still the one that was meant."""

    def __init__(self, path: str, folder: int, descriptor: int, digest: str, opened: ExitStack) -> None:
        self._path = path
        self._opened = opened
        self._folder, self._descriptor = folder, descriptor
        self._before = _identity(os.fstat(descriptor))
        self._wanted = digest
        self._hash = hashlib.sha256()

    def step(self) -> bool:
        """Read on; True at the end of the file."""
        with _translated(self._path):
            for _ in range(STEP_BYTES // BLOCK_BYTES):
                block = os.read(self._descriptor, BLOCK_BYTES)
                if not block:
                    return True
                self._hash.update(block)
            return False

    def finish(self) -> None:
        """Delete the file, for good, if it has the digest and nobody touched it meanwhile. Raises FileRefused."""
        if f"sha-256={self._hash.hexdigest()}" != self._wanted:
            raise FileRefused(Trouble.CHANGED, f"{self._path!r} has another content now: it was left alone")
        with _translated(self._path):
            name = PurePosixPath(self._path).name
            if _identity(os.stat(name, dir_fd=self._folder, follow_symlinks=False)) != self._before:
                raise FileRefused(Trouble.CHANGED, f"{self._path!r} was changed just now: it was left alone")
            os.unlink(name, dir_fd=self._folder)
            os.fsync(self._folder)

    def close(self) -> None:
        self._opened.close()


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read_at(descriptor: int, offset: int, length: int) -> bytes:
    """Exactly `length` bytes. Raises FileRefused where the file shrank."""
    data = os.pread(descriptor, length, offset)
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            raise FileRefused(Trouble.CHANGED, "the file became shorter while it was read")
        data += more
    return data


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """What the disk refuses, as FileRefused."""
    try:
        yield
    except OSError as error:
        if error.errno in _MISSING:
            raise FileRefused(Trouble.GONE, f"there is no file {path!r} any more") from error
        if error.errno in _NO_FILE:
            raise FileRefused(Trouble.REFUSED, f"{path!r} is no plain file") from error
        raise FileRefused(Trouble.DISK, f"the disk refused: {error.strerror or error}") from error


def _can_be_encoded(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
