"""One reading of the log for the whole process, shared by all who follow it: event streams, webhooks, notifications.

The latest events are kept, up to a bound. Whoever follows remembers one number, how far they are, and takes what comes
after it from here; who has fallen behind what is kept reads the log itself. So nothing is queued for anybody.
The log is read only while somebody follows it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import anyio
import msgspec
import structlog
from msgspec import Struct

from broker.connection import Connection
from broker.errors import BrokerError
from broker.eventlog import StoredEvent
from broker.follow import NOW, following
from broker.listen import Heard, listening
from schemas import codec
from schemas import subjects as s
from schemas.event import AnyEvent
from schemas.heartbeat import Progress

log = structlog.get_logger()

KEPT_MAX = 20_000
"""Events: ten seconds of a cluster that is as busy as can be."""
KEPT_BYTES_MAX = 16 << 20
"""Of them together: an outcome may carry a request of half a megabyte."""
LINGER_S = 60.0
"""The reading goes on for so long without anybody: who reconnects finds what happened meanwhile."""
RETRY_S = 0.5


class Kept(Struct, frozen=True):
    """An event as it was stored."""

    sequence: int
    event: AnyEvent
    json: bytes

    @staticmethod
    def of(found: StoredEvent) -> "Kept":
        return Kept(found.sequence, found.event, codec.encode(found.event))


class Hub:
    """What happens, for everybody in this process who wants to know."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kept: list[Kept] = []
        self._sequences: list[int] = []
        self._bytes = 0
        self._listeners: dict[object, Callable[[Kept], None]] = {}
        self._progress_listeners: dict[object, Callable[[Progress], None]] = {}
        self._users = 0
        self._wanted, self._progress_wanted = anyio.Event(), anyio.Event()
        self._moved = anyio.Event()
        self._ready = anyio.Event()
        self.first = 0
        """Every event after this sequence is at hand, up to `position`."""
        self.position = 0
        """How far the log has been read."""
        self.epoch = 0
        """Another number: the log was made anew and counts from the beginning, or the reading began anew."""
        self.is_closed = False

    def __repr__(self) -> str:
        return f"<Hub at {self.position}, {len(self._kept)} events kept, {self._users} follow>"

    @contextmanager
    def used(self) -> Iterator[None]:
        """The log is read for the length of the block; see `until_ready`."""
        self._users += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._users -= 1

    @contextmanager
    def listening(self, take: Callable[[Kept], None]) -> Iterator[None]:
        """Call `take` with each event for the length of the block. It must not wait, nor raise.

        From the return of `until_ready` on none is missed.
        """
        token = object()
        self._listeners[token] = take
        try:
            with self.used():
                yield
        finally:
            del self._listeners[token]

    @contextmanager
    def progressing(self, take: Callable[[Progress], None]) -> Iterator[None]:
        """Call `take` about once a second for each running transfer, for the length of the block."""
        token = object()
        self._progress_listeners[token] = take
        self._progress_wanted.set()
        try:
            yield
        finally:
            del self._progress_listeners[token]

    async def until_ready(self) -> None:
        """Return when the log is being read: within a `used` or `listening` block. A broker that is away is awaited."""
        await self._ready.wait()

    def after(self, sequence: int, limit: int) -> Sequence[Kept] | None:
        """At most so many of the events after a sequence; None where they are not kept (any more)."""
        if sequence < self.first:
            return None
        start = bisect_right(self._sequences, sequence)
        return self._kept[start : start + limit]

    async def until_moved(self, position: int, epoch: int) -> None:
        """Return when there is more than there was: an event after `position`, another epoch, or the end."""
        while self.position <= position and self.epoch == epoch and not self.is_closed:
            await self._moved.wait()

    def close(self) -> None:
        """Nobody is to wait any more: the process ends."""
        self.is_closed = True
        self._wake()

    async def run(self) -> None:
        """Read for whoever follows, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hear_progress)
            while True:
                await self._wanted.wait()
                try:
                    await self._follow()
                except BrokerError as error:
                    log.warning("reading the log was interrupted, trying again", problem=str(error))
                    await anyio.sleep(RETRY_S)

    async def _follow(self) -> None:
        """Until nobody has followed for a while. Raises BrokerError."""
        is_new = not self._ready.is_set()
        async with following(self._connection, NOW if is_new else self.position) as follower:
            if is_new:
                self._begin_at(follower.after)
                self._ready.set()
            unused_since = anyio.current_time()
            while True:
                found = await follower.next()
                if follower.after < self.position:
                    self._begin_at(follower.after if found is None else found.sequence - 1)
                if found is not None:
                    self._take(Kept.of(found))
                elif follower.after > self.position:  # of a type that this version does not know
                    self.position = follower.after
                if self._users:
                    unused_since = anyio.current_time()
                elif anyio.current_time() - unused_since > LINGER_S:
                    self._wanted, self._ready = anyio.Event(), anyio.Event()
                    return

    def _begin_at(self, sequence: int) -> None:
        self._kept, self._sequences, self._bytes = [], [], 0
        self.first = self.position = sequence
        self.epoch += 1
        self._wake()

    def _take(self, kept: Kept) -> None:
        self._kept.append(kept)
        self._sequences.append(kept.sequence)
        self._bytes += len(kept.json)
        self.position = kept.sequence
        if len(self._kept) > KEPT_MAX or self._bytes > KEPT_BYTES_MAX:
            self._forget_half()
        for take in tuple(self._listeners.values()):
            take(kept)
        self._wake()

    def _forget_half(self) -> None:
        """A list is cut at its beginning; half of it at a time, or each event would move them all."""
        half = (len(self._kept) + 1) // 2
        self.first = self._sequences[half - 1]
        self._bytes -= sum(len(kept.json) for kept in self._kept[:half])
        del self._kept[:half], self._sequences[:half]

    def _wake(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()

    async def _hear_progress(self) -> None:
        """Subscribed to only while somebody wants it: a busy cluster tells a thousand a second."""
        while True:
            await self._progress_wanted.wait()
            async with listening(self._connection, s.PROGRESS_ALL, self._progress_came):
                while self._progress_listeners:
                    await anyio.sleep(RETRY_S)
                self._progress_wanted = anyio.Event()

    def _progress_came(self, heard: Heard) -> None:
        try:
            progress = codec.decode(heard.data, Progress)
        except msgspec.MsgspecError as error:
            log.debug("progress can't be read", subject=heard.subject, problem=str(error))
            return
        for take in tuple(self._progress_listeners.values()):
            take(progress)
