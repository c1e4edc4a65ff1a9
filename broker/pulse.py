"""A file that is touched while a process gets on with its work: what the health check of a container looks at.

A process may live and yet do nothing, so each says for itself what getting on means; the age of the file tells how
long ago it last did.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import anyio
import structlog

log = structlog.get_logger()

EVERY_S = 1.0
"""A health check that allows for ten of these notices a process that stands still, and no slow disk."""


async def keep_pulse(file: Path | None, gets_on: Callable[[], bool]) -> NoReturn:
    """Touch `file` each second in which `gets_on` says so, until cancelled. None: nobody looks."""
    is_told = False
    while True:
        try:
            if file is not None and gets_on():
                file.touch()
        except OSError as error:
            if not is_told:
                log.warning("the pulse can't be written", file=str(file), problem=error.strerror)
            is_told = True
        await anyio.sleep(EVERY_S)
