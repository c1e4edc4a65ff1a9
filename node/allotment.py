"""How much of what `node.disk` allots to the download folder is taken: counted now and then, kept up in between."""

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NoReturn

import anyio
import anyio.to_thread
import structlog
from anyio import CapacityLimiter

from node.moving import used_bytes
from schemas.request import STAGING_NAME

log = structlog.get_logger()

COUNT_EVERY_S = 120.0
"""What others put there, or take away, is seen so late at most …"""
COUNT_SHARE = 0.02
"""… unless counting would keep a core busy for more than this share of the time: of millions of files."""


class Allotment:
    """The bytes that the download folder may take up in all, and those it does."""

    def __init__(self, downloads: Path, limit: int) -> None:
        """Nothing is counted yet, and all counts as taken: see `keep_counted`."""
        self.limit = limit
        self._downloads = downloads
        self._counted: int | None = None
        self._placed = 0
        """Of files that got their places since the counting began, less those that were deleted."""
        self._took_s = 0.0
        self._limiter = CapacityLimiter(1)

    def __repr__(self) -> str:
        return f"<Allotment {self._counted} counted and {self._placed} since, of {self.limit}>"

    def placed(self, size: int) -> None:
        """A file of so many bytes got its place; a negative size: one was deleted."""
        self._placed += size

    def free(self) -> int:
        """Bytes left, 0 at least. Looks at what is staged just now, so call it in a thread. Raises OSError."""
        if self._counted is None:
            return 0
        return max(0, self.limit - self._counted - self._placed - staged_bytes(self._downloads))

    async def count(self) -> None:
        """Count the finished files, in a thread of its own."""
        began_at, placed_before = time.monotonic(), self._placed
        work = partial(finished_bytes, self._downloads)
        counted = await anyio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)
        # What got its place meanwhile may be counted twice until the next time: better than not at all.
        self._counted, self._placed = counted, self._placed - placed_before
        self._took_s = time.monotonic() - began_at
        log.debug("download folder counted", bytes=counted, seconds=round(self._took_s, 3))

    async def keep_counted(self) -> NoReturn:
        """Count again and again, until cancelled."""
        while True:
            await anyio.sleep(max(COUNT_EVERY_S, self._took_s / COUNT_SHARE))
            await self.count()


def finished_bytes(downloads: Path) -> int:
    """What lies in the download folder, on the disk, but for what is staged. Blocks on the disk."""
    total = 0
    for folder, inner, names in os.walk(downloads):
        if folder == str(downloads) and STAGING_NAME in inner:
            inner.remove(STAGING_NAME)
        total += sum(_sizes(Path(folder), names))
    return total


def staged_bytes(downloads: Path) -> int:
    """What is staged, on the disk. Blocks on the disk."""
    return sum(sum(_sizes(Path(folder), names)) for folder, _, names in os.walk(downloads / STAGING_NAME))


def _sizes(folder: Path, names: list[str]) -> Iterator[int]:
    for name in names:
        try:
            yield used_bytes(os.lstat(folder / name))
        except OSError:
            continue  # it got its place, or was deleted, just now
