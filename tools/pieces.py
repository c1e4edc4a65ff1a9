"""A file, a pipe or a terminal as pieces of bytes, read only as fast as they are used."""

import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from anyio import to_thread, wait_readable

from schemas.errors import DowndraftError

PIECE_BYTES = 64 * 1024
STDIN = "-"


class CantRead(DowndraftError):
    """The input can't be read."""

    exit_code = 2


async def pieces(name: str) -> AsyncIterator[bytes]:
    """What is in the file `name`, or comes in at standard input for `-`. Raises CantRead."""
    try:
        file = sys.stdin.fileno() if name == STDIN else os.open(name, os.O_RDONLY)
    except (OSError, ValueError) as error:
        raise CantRead(f"can't read {name!r}: {getattr(error, 'strerror', None) or error}") from error
    try:
        # A thread that waits for a pipe could not be ended by Ctrl-C; reading a file is soon over.
        waits = not stat.S_ISREG(os.fstat(file).st_mode) and sys.platform != "win32"
        while True:
            if waits:
                await wait_readable(file)
                piece = os.read(file, PIECE_BYTES)
            else:
                piece = await to_thread.run_sync(os.read, file, PIECE_BYTES)
            if not piece:
                return
            yield piece
    except OSError as error:
        raise CantRead(f"can't read {name!r}: {error.strerror}") from error
    finally:
        if name != STDIN:
            os.close(file)


def size_of(name: str) -> int:
    """Bytes of a regular file, 0 for whatever has no size beforehand."""
    try:
        found = os.fstat(sys.stdin.fileno()) if name == STDIN else Path(name).stat()
    except (OSError, ValueError):
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
