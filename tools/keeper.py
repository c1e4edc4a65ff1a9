"""Who keeps a data folder: one `up` at a time, and found without a doubt before anybody signals it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from broker import filelocks
from schemas.errors import DowndraftError

LOCK_FILE = "up.lock"


class DataTaken(DowndraftError):
    """Another `up` runs on this data folder."""


class KeeperUnknown(DowndraftError):
    """Somebody holds the lock on a data folder who can't be told for certain to be an `up`."""


@contextmanager
def keeping(data: Path) -> Iterator[None]:
    """Be the one that runs on `data`, which must exist, for the length of the block. Raises DataTaken."""
    lock = os.open(data / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            filelocks.lock(lock)
        except OSError as error:
            raise _taken(data) from error
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        yield
    finally:
        os.close(lock)


def refuse_taken(data: Path) -> None:
    """Raises DataTaken where somebody runs on `data` at this moment, KeeperUnknown where it can't be told who."""
    if keeper(data) is not None:
        raise _taken(data)


def _taken(data: Path) -> DataTaken:
    return DataTaken(
        f"a cluster runs in {str(data)!r} already: end it with `downdraft down --data {data}`, or choose another --data"
    )


def keeper(data: Path) -> psutil.Process | None:
    """The process that keeps `data`; None where none does. Raises KeeperUnknown.

    The lock tells that somebody does, the number in it who; that this process has this very file open proves it.
    """
    file = data / LOCK_FILE
    try:
        lock = os.open(file, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        filelocks.lock(lock)
    except OSError:
        said = os.read(lock, 20)
    else:
        return None
    finally:
        os.close(lock)
    with suppress(ValueError, psutil.Error):
        process = psutil.Process(int(said))
        if any(Path(opened.path) == file.resolve() for opened in process.open_files()):
            return process
    raise KeeperUnknown(
        f"somebody holds {str(file)!r}, but it can't be told who; is it another user's? "
        "Try again in a second, else end that process by hand"
    )
