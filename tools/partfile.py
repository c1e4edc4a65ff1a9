"""A file that is being fetched: `<name>.part` beside its target until it is whole. Blocks on the disk.

What an interrupted fetch left there is hashed and gone on from; should it have been something else's, the digest of the
whole tells, and the fetch begins anew.
"""

import errno
import hashlib
import os
import stat
from pathlib import Path

from broker import filelocks
from schemas.errors import DowndraftError

PART = ".part"
NAME_BYTES_MAX = 255
"""What file systems take for one name."""
BLOCK_BYTES = 1 << 20
STEP_BYTES = 64 << 20
"""Hashed at a time: Ctrl-C is heard between two steps."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""How file systems without hard links refuse one."""


class CannotWrite(DowndraftError):
    """The target can't be written; the message says why."""


class PartFile:
    """Holds the lock on a `.part` from its making to `close`; only what is `keep`t gets the final name."""

    def __init__(self, target: Path, size: int) -> None:
        """`size`: of the whole file, in bytes. Raises CannotWrite."""
        self.target = target
        self.path = target.with_name(_cut(target.name, NAME_BYTES_MAX - len(PART)) + PART)
        self.size = size
        self.done = 0
        """Bytes that are written and hashed."""
        self._hash = hashlib.sha256()
        self._descriptor = self._open()

    def __repr__(self) -> str:
        return f"<PartFile {self.path}: {self.done} of {self.size} bytes>"

    @property
    def digest(self) -> str:
        """`sha-256=<hex>` of what is done."""
        return f"sha-256={self._hash.hexdigest()}"

    def take_up(self) -> bool:
        """Hash some more of what an earlier fetch left; False when there is no more of it."""
        for _ in range(STEP_BYTES // BLOCK_BYTES):
            block = os.pread(self._descriptor, BLOCK_BYTES, self.done)
            if not block:
                return False
            self._hash.update(block)
            self.done += len(block)
        return True

    def write(self, data: bytes) -> None:
        """Append. Raises CannotWrite, for example where the disk is full."""
        self._hash.update(data)
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._descriptor, view, self.done)
                self.done += written
                view = view[written:]
        except OSError as error:
            raise CannotWrite(f"can't write {str(self.path)!r}: {error.strerror}") from error

    def start_over(self) -> None:
        """Forget what is there."""
        os.ftruncate(self._descriptor, 0)
        self.done = 0
        self._hash = hashlib.sha256()

    def keep(self, *, force: bool) -> None:
        """Give the file its final name, over another one only with `force`. Raises CannotWrite."""
        try:
            os.fsync(self._descriptor)
            if force:
                self.path.replace(self.target)
            else:
                _move_beside_none(self.path, self.target)
            filelocks.sync_folder(self.target.parent)
        except FileExistsError as error:
            raise CannotWrite(f"{str(self.target)!r} exists: --force overwrites it") from error
        except OSError as error:
            raise CannotWrite(f"can't write {str(self.target)!r}: {error.strerror}") from error

    def discard(self) -> None:
        """Delete what is there: it is of no use."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go; an unfinished file stays for the next fetch, an empty one does not."""
        found = os.fstat(self._descriptor)
        if found.st_size == 0 and self._is_at_path(found):
            self.discard()
        os.close(self._descriptor)

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT
        for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # not every system has each
            flags |= getattr(os, name, 0)
        try:
            descriptor = os.open(self.path, flags, 0o666)
        except OSError as error:
            raise CannotWrite(f"can't write {str(self.path)!r}: {error.strerror}") from error
        try:
            filelocks.lock(descriptor)
            found = os.fstat(descriptor)
            if not self._is_at_path(found):
                raise BlockingIOError  # whoever held the lock has just given the file its final name
            if not stat.S_ISREG(found.st_mode):
                raise CannotWrite(f"{str(self.path)!r} is no plain file")
            if found.st_size > self.size:
                os.ftruncate(descriptor, 0)  # no beginning of this file
        except BlockingIOError as error:
            os.close(descriptor)
            raise CannotWrite(f"another fetch is writing {str(self.path)!r} just now") from error
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _is_at_path(self, found: os.stat_result) -> bool:
        try:
            return os.path.samestat(found, self.path.lstat())
        except FileNotFoundError:
            return False


def _cut(name: str, bytes_max: int) -> str:
    return name.encode(errors="surrogateescape")[:bytes_max].decode(errors="ignore")


def _move_beside_none(part: Path, target: Path) -> None:
    """Rename where there is no file of that name yet. Raises FileExistsError."""
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(target) from error
        part.replace(target)
    else:
        part.unlink()
