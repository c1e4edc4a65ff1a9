"""Locks on files of this machine: held by a descriptor, gone with its process. One way for every system."""

import errno
import os
from importlib import import_module
from typing import Any


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


fcntl, msvcrt = _module("fcntl"), _module("msvcrt")
"""The one of POSIX systems, the other of Windows."""
_FAR_BYTES = 1 << 30
"""Windows locks bytes, and nobody else may read those: the lock lies far behind what is written."""


def lock(descriptor: int) -> None:
    """Take the lock of an open file, or folder where the system locks those, until the descriptor is closed.

    Raises BlockingIOError where another holds it, OSError where there are no locks.
    """
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif msvcrt is not None:
        _lock_far(descriptor)
    else:
        raise OSError(errno.ENOLCK, "this system has no locks on files")


def _lock_far(descriptor: int) -> None:
    before = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _FAR_BYTES, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        raise BlockingIOError(errno.EAGAIN, "another process holds the lock") from error
    finally:
        os.lseek(descriptor, before, os.SEEK_SET)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Have a folder's names survive a power cut, where the system can: Windows opens no folders. Raises OSError."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
