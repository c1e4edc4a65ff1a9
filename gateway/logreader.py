"""Following the log from any place in it: from what the hub keeps, or from the log itself where that is too old."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import anyio.lowlevel
import structlog
from msgspec import Struct

from broker.connection import Connection
from broker.errors import BrokerError
from broker.follow import Follower, expand, following
from gateway.hub import Hub, Kept

log = structlog.get_logger()

TICK_S = 0.5
"""How long to wait for events before saying that there are none."""
RETRY_S = 0.5
BYTES_MAX = 1 << 20
"""Of the events taken at a time: an outcome may carry a request of half a megabyte, and readers are many."""
AHEAD_S = 2.0
"""How long this process may lag behind another one's reading of the log, which told somebody how far they are."""


class Gap(Struct, frozen=True):
    """Events that can't be read (any more)."""

    after: int
    until: int
    """The next one comes after this sequence; less than `after` where the log was made anew."""
    reason: str


class LogReader:
    """Make it with `reading_log`. One task at a time may use it."""

    def __init__(
        self, hub: Hub, connection: Connection, after: int, tasks: frozenset[str], kinds: frozenset[str]
    ) -> None:
        self.after = after
        """Everything up to this sequence was passed on, or is not wanted."""
        self._hub, self._connection = hub, connection
        self._tasks, self._kinds = tasks, kinds
        self._epoch = hub.epoch
        self._ahead_since: float | None = None
        self._follower: Follower | None = None
        self._joins_at = 0
        self._opened = AsyncExitStack()
        self._gaps: list[Gap] = []

    def __repr__(self) -> str:
        return f"<LogReader after {self.after}, {'behind' if self.is_behind else 'live'}>"

    @property
    def is_behind(self) -> bool:
        """Whether it has yet to read what only the log has."""
        return self._follower is not None or self.after < self._hub.first

    @property
    def is_level(self) -> bool:
        """Whether there is nothing more to pass on just now."""
        return self._follower is None and self.after >= self._hub.position

    def gaps(self) -> list[Gap]:
        """What was found missing since the last call."""
        found, self._gaps = self._gaps, []
        return found

    async def next(self, limit: int) -> Sequence[Kept]:
        """At most so many of the events to come, in order; none where there were none for a moment, or none asked for.

        A broker that is away is waited for.
        """
        self._notice_another_log()
        if self._follower is not None or (kept := self._hub.after(self.after, limit)) is None:
            return await self._next_of_log(limit)
        if kept:
            kept = bounded(kept)
            self.after = kept[-1].sequence
            return [one for one in kept if self._is_asked_for(one)]
        self.after = max(self.after, self._hub.position)
        with anyio.move_on_after(TICK_S):
            await self._hub.until_moved(self.after, self._epoch)
        return ()

    def _notice_another_log(self) -> None:
        hub, now = self._hub, anyio.current_time()
        if self.after <= hub.position:
            self._ahead_since = None
        elif self._ahead_since is None:
            self._ahead_since = now
        is_ahead = self._ahead_since is not None and now - self._ahead_since > AHEAD_S
        if self._epoch != hub.epoch or is_ahead:
            until = hub.position if is_ahead else hub.first
            self._gaps.append(Gap(self.after, until, "the log ends before this: it was made anew, or lost its end"))
            self._epoch, self.after, self._ahead_since = hub.epoch, until, None

    async def _next_of_log(self, limit: int) -> Sequence[Kept]:
        found: list[Kept] = []
        size = 0
        await anyio.lowlevel.checkpoint()
        try:
            follower = self._follower or await self._open()
            while len(found) < limit and size < BYTES_MAX and not follower.is_caught_up:
                if (one := await follower.next()) is None:
                    break
                found.append(Kept.of(one))
                size += len(found[-1].json)
        except BrokerError as error:
            log.debug("the log can't be read, trying again", problem=str(error))
            await self.close()
            await anyio.sleep(RETRY_S)
            return found
        self.after = max(self.after, follower.after)
        if follower.is_caught_up:
            await self.close()
            # What was stored up to there came, if it is asked for. Unless the replica that was read lagged: so what the
            # hub still keeps of it is looked through once more.
            self.after = max(self.after, min(self._joins_at, self._hub.first))
        return found

    async def _open(self) -> Follower:
        self._joins_at = self._hub.position
        self._follower = await self._opened.enter_async_context(
            following(self._connection, self.after, tasks=self._tasks, kinds=self._kinds)
        )
        if self._follower.after > self.after > 0:
            self._gaps.append(Gap(self.after, self._follower.after, "the log does not go back so far any more"))
        return self._follower

    def _is_asked_for(self, kept: Kept) -> bool:
        return (not self._tasks or kept.event.task in self._tasks) and (
            not self._kinds or kept.event.kind in self._kinds
        )

    async def close(self) -> None:
        self._follower = None
        await self._opened.aclose()


def bounded(kept: Sequence[Kept]) -> Sequence[Kept]:
    """The first of them, and those after it up to BYTES_MAX together. Pure."""
    size = 0
    for count, one in enumerate(kept):
        size += len(one.json)
        if size > BYTES_MAX and count:
            return kept[:count]
    return kept


@asynccontextmanager
async def reading_log(
    hub: Hub, connection: Connection, after: int | None, *, tasks: Iterable[str] = (), kinds: Iterable[str] = ()
) -> AsyncIterator[LogReader]:
    """Follow the log for the length of the block, after a sequence, or from now on (None).

    `tasks`, `kinds`: only events of these; none of them: all. Waits for a broker that is away.
    """
    with hub.used():
        await hub.until_ready()
        start = hub.position if after is None else after
        reader = LogReader(hub, connection, start, frozenset(tasks), expand(kinds))
        try:
            yield reader
        finally:
            await reader.close()
