"""The read model: kept in step with the streams, asked by every route."""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import structlog
from msgspec import Struct
from msgspec.structs import replace

from broker.connection import Connection
from gateway.readmodel.changes import Change, Dismissal, Ended, RowCame, Seen, number_of
from gateway.readmodel.cursors import Sort
from gateway.readmodel.feed import Feed
from gateway.readmodel.lines import Part, beginning, in_line, known, latest_results
from gateway.readmodel.live import SAMPLE_S, Live, Speed
from gateway.readmodel.paging import Listing
from gateway.readmodel.store import Store
from gateway.readmodel.terms import is_counted
from gateway.readmodel.waiting import Waiting, queued
from schemas.filter import Standing, TaskFilter
from schemas.heartbeat import Heartbeat, Progress
from schemas.lifecycle import State
from schemas.settings import GatewaySettings
from schemas.task import StoredRow
from schemas.view import TaskView

log = structlog.get_logger()

BATCH = 1000
"""Changes in one transaction: some 50 ms of outcomes."""
FIRST_BATCH = 250
"""… while the streams are first read, on the event loop itself: nobody is to wait for it long."""
T = TypeVar("T")


class Page(Struct, frozen=True):
    """Some of the tasks that were asked for. It may hold fewer than that, even none, and yet not be the last."""

    tasks: tuple[TaskView, ...]
    after: str = ""
    """Where the next page begins; empty after the last."""


class ReadModel:
    """Every live task, and the latest that ended."""

    def __init__(self, connection: Connection, history_max: int, live: Live, store: Store) -> None:
        self._connection = connection
        self._history_max = history_max
        self.live = live
        self.store = store
        self._pending: list[Change] = []
        # The store is one connection: whoever has the lock uses it, in a thread of its own.
        self._lock = anyio.Lock()
        self._limiter = anyio.CapacityLimiter(1)
        self.is_ready = False
        """Whether everything that was stored at the start has been read."""

    @classmethod
    async def opened(cls, connection: Connection, settings: GatewaySettings) -> "ReadModel":
        """With what its file holds, if it has one: a million tasks take some ten seconds. Raises SettingInvalid."""
        live = Live()
        opening = partial(Store, settings.database, settings.history_max, live.is_running)
        store = await anyio.to_thread.run_sync(opening)
        if settings.database:
            log.info("read model opened", tasks=store.counts.total(), log_read_to=store.log_read_to)
        return cls(connection, settings.history_max, live, store)

    def __repr__(self) -> str:
        return f"<ReadModel {self.store!r} {self.live!r}>"

    @property
    def progress(self) -> dict[str, Progress]:
        """What each running transfer said last."""
        return self.live.progress

    @property
    def heartbeats(self) -> dict[str, Heartbeat]:
        """What each node said last."""
        return self.live.heartbeats

    @property
    def speeds(self) -> tuple[Speed, ...]:
        """How fast the cluster was in the last ten minutes, the oldest first."""
        return tuple(self.live.speeds)

    async def run(self) -> None:
        """Keep in step until cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._sample)
                tasks.start_soon(self._settle_often)
                await Feed(self._connection, self, self._history_max).run()
        finally:
            self.store.close()

    async def _sample(self) -> None:
        while True:
            await anyio.sleep(SAMPLE_S)
            self.live.sample(datetime.now(UTC), anyio.current_time())

    async def _settle_often(self) -> None:
        """What nobody asks for is stored too."""
        while True:
            await anyio.sleep(1)
            await self.settle()

    # What the feed tells.

    def row_came(self, stored: StoredRow) -> None:
        self._pending.append(RowCame(stored))

    def row_seen(self, task: str) -> None:
        self._pending.append(Seen(task))

    def ended_came(self, task: str, body: bytes, sequence: int) -> None:
        self.live.ended(task)
        self._pending.append(Ended(body, sequence))

    def dismissed_came(self, task: str, sequence: int) -> None:
        self._pending.append(Dismissal(task, sequence))

    def progress_came(self, progress: Progress) -> None:
        self.live.progress_came(progress, anyio.current_time())

    def beat_came(self, beat: Heartbeat) -> None:
        self._pending.extend(self.live.beat_came(beat, anyio.current_time()))

    @property
    def is_behind(self) -> bool:
        """Whether so much is to be stored that whoever tells more must wait."""
        return len(self._pending) >= (BATCH if self.is_ready else FIRST_BATCH)

    async def settle(self) -> None:
        """Store what was told until now."""
        await self.using(lambda _: None)

    async def using(self, work: Callable[[Store], T], *, is_long: bool = False) -> T:
        """Let something be done with the store, once it has all that was told.

        It takes milliseconds, unless it says that it `is_long`.
        """
        async with self._lock:
            changes, self._pending = self._pending, []
            if not self.is_ready and not is_long:
                # Two busy threads that hand the interpreter to and fro with each line take twice as long as one.
                return self._work(changes, work)
            # It can't be stopped half-way: a thread that goes on would share the connection with the next.
            with anyio.CancelScope(shield=True):
                done = await anyio.to_thread.run_sync(partial(self._work, changes, work), limiter=self._limiter)
            return done  # noqa: RET504 - a scope might swallow a cancellation: no `return` within it

    def _work(self, changes: list[Change], work: Callable[[Store], T]) -> T:
        if changes:
            try:
                self.store.apply(changes)
            except BaseException:
                self._pending = changes + self._pending  # whoever settles next fails by them, too, and is heard
                raise
        return work(self.store)

    # What routes ask.

    async def get(self, task: str) -> TaskView | None:
        """One task; None where it is not known (any more)."""
        number = number_of(task)
        if number is None:
            return None
        view = await self.using(lambda store: store.get(number))
        return self._overlaid(view) if view is not None else None

    async def find(self, where: TaskFilter, *, after: str = "", limit: int = 100, sort: Sort = Sort.NEWEST) -> Page:
        """A page of the tasks that match. Raises CursorInvalid."""
        found = await self.using(lambda store: Listing(store, where, sort, after).page(limit))
        return Page(tuple(map(self._overlaid, found.tasks)), found.after)

    async def in_line(self, part: Part, without: Collection[str] = ()) -> list[TaskView]:
        """Some of the live tasks as they are in line, those of `without` left out."""
        found = await self.using(lambda store: in_line(store, part, without))
        return list(map(self._overlaid, found))

    async def beginning(self, start: str, owner: str, count: int) -> list[TaskView]:
        """At most so many of the tasks of an owner, or of everybody, whose ids begin so."""
        found = await self.using(lambda store: beginning(store, start, owner, count))
        return list(map(self._overlaid, found))

    async def known(self, tasks: Collection[str]) -> set[str]:
        """Those of many tasks that are known."""
        return await self.using(lambda store: known(store, tasks))

    async def latest_results(self, owner: str, count: int) -> list[TaskView]:
        """The tasks of an owner, or of everybody, that ended last; the oldest of them first."""
        return await self.using(lambda store: latest_results(store, owner, count))

    async def count(self, where: TaskFilter) -> int:
        """How many tasks match."""
        if is_counted(where):
            states = set(map(str, where.states))
            total = 0
            for (owner, state), count in (await self.counts()).items():
                if (not where.owners or owner in where.owners) and (not states or str(state) in states):
                    total += count
            return total
        stretches = await self.using(lambda store: Listing(store, where, Sort.NEWEST).count())

        def stretch(_: Store) -> int | None:
            return next(stretches, None)

        total = 0
        while (some := await self.using(stretch)) is not None:  # others get their turn
            total += some
        return total

    async def counts(self) -> Counter[tuple[str, State]]:
        """How many tasks there are, by owner and state."""
        return await self.using(lambda store: store.counts.copy())

    async def standings(self, owners: tuple[str, ...]) -> dict[Standing, int]:
        """How many tasks of these owners stand how, of everybody's where none is named."""

        def count(store: Store) -> dict[Standing, int]:
            totals = dict.fromkeys(Standing, 0)
            for (owner, state), some in store.counts.items():
                if not owners or owner in owners:
                    totals[Standing(state)] += some
            paused = TaskFilter(states=(Standing.PAUSED,), owners=owners)
            return totals | {Standing.PAUSED: sum(Listing(store, paused, Sort.NEWEST).count())}

        return await self.using(count)

    async def waiting(self) -> dict[int, Waiting]:
        """What is queued, by priority."""
        return await self.using(queued)

    def _overlaid(self, view: TaskView) -> TaskView:
        """With what its node said of it last."""
        phase, told = self.live.phase(view), self.live.progress_of(view)
        if not phase and told is None:
            return view
        return replace(view, phase=phase, bytes=told.bytes_done if told is not None else view.bytes)
