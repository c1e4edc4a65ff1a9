"""Listing live tasks page by page: in order of age, without sorting anew for each page or holding up the leader."""

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from itertools import chain

import anyio
import anyio.lowlevel

from coordinator import views
from coordinator.term import Term
from coordinator.views import Holdings
from schemas import codec
from schemas.control import ListQuery, ListReply
from schemas.filter import TaskFilter
from schemas.task import StoredRow
from schemas.view import TaskView

SNAPSHOT_FOR_S = 60.0
"""A listing is read on from the same sorted keys for so long; then from newly sorted ones."""
CHUNK = 200
"""Tasks looked at in one go, before others may run: some 5 ms."""
SORT_CHUNK = 10_000
"""Keys sorted in one go; sorted runs are then joined two by two, the last of a million in some 50 ms."""
MOMENT_BYTES = 8
MOMENT_DIGITS = 17
SCAN_MAX = 20_000
"""Tasks looked at for one page: where few match, it is the caller who asks on."""
PAGE_BYTES_MAX = 640 * 1024
"""Of tasks in one answer. One task has up to about 550 KiB more, and the broker takes 1 MB."""

Reaches = Callable[[str], bool]
"""Whether the caller reaches an owner's tasks."""


def key_of(task: str, submitted_us: int) -> bytes:
    """Sorts by age and never changes while the task lives: its moment in microseconds, then its id."""
    return submitted_us.to_bytes(MOMENT_BYTES, "big") + task.encode()


def task_of(key: bytes) -> str:
    return key[MOMENT_BYTES:].decode()


def cursor_of(key: bytes) -> str:
    """A key as those who list are told it: it sorts alike. Empty for none."""
    return f"{int.from_bytes(key[:MOMENT_BYTES], 'big'):0{MOMENT_DIGITS}d}{task_of(key)}" if key else ""


def key_at(cursor: str) -> bytes:
    """The key that a cursor was made of. What is no cursor lies before all keys."""
    try:
        return key_of(cursor[MOMENT_DIGITS:], int(cursor[:MOMENT_DIGITS]))
    except (ValueError, OverflowError):
        return b""


class Listing:
    """Serves the listings of one term."""

    def __init__(self, term: Term) -> None:
        self._term = term
        self.holdings = Holdings(term.fleet)
        self._keys: list[bytes] = []
        self._sorted_at = -SNAPSHOT_FOR_S
        self._sorting = anyio.Lock()

    def __repr__(self) -> str:
        return f"<Listing of {len(self._keys)} tasks>"

    def view(self, stored: StoredRow) -> TaskView:
        return views.live(self._term, stored, self.holdings.of(stored))

    async def page(self, query: ListQuery, reaches: Reaches) -> ListReply:
        """The next tasks that match; see ListReply for what may be missing from a page."""
        keys = await self._snapshot(query.after)
        last = key_at(query.after)
        start = bisect_right(keys, last)
        found: list[TaskView] = []
        bytes_left = PAGE_BYTES_MAX
        for at in range(start, min(len(keys), start + SCAN_MAX)):
            if (at - start) % CHUNK == CHUNK - 1:
                await anyio.lowlevel.checkpoint()
            view = self._look(keys[at], query.where, reaches)
            if view is not None:
                bytes_left -= len(codec.encode(view))
                if found and (bytes_left < 0 or len(found) == query.limit):
                    return ListReply(tuple(found), more=True, after=cursor_of(last))
                found.append(view)
            last = keys[at]
        return ListReply(tuple(found), more=start + SCAN_MAX < len(keys), after=cursor_of(last))

    async def every(self, where: TaskFilter, reaches: Reaches) -> AsyncIterator[TaskView]:
        """All that match, oldest first."""
        for at, key in enumerate(await self._snapshot("")):
            if at % CHUNK == CHUNK - 1:
                await anyio.lowlevel.checkpoint()
            if (view := self._look(key, where, reaches)) is not None:
                yield view

    def _look(self, key: bytes, where: TaskFilter, reaches: Reaches) -> TaskView | None:
        stored = self._term.book.top(task_of(key))
        if stored is None or not reaches(stored.row.owner):
            return None
        held = self.holdings.of(stored)
        view = views.live(self._term, stored, held, in_full=where.is_empty or where.needs_addresses)
        if not where.matches(view):
            return None
        return view if view.uris else views.live(self._term, stored, held)

    async def _snapshot(self, after: str) -> list[bytes]:
        """Every live task's key, sorted. A listing that begins sees all there is; one that goes on may use an older."""
        async with self._sorting:
            if not after or anyio.current_time() - self._sorted_at > SNAPSHOT_FOR_S:
                self._keys = await self._sort()
                self._sorted_at = anyio.current_time()
            return self._keys

    async def _sort(self) -> list[bytes]:
        runs: list[list[bytes]] = []
        run: list[bytes] = []
        for task, submitted_us in self._term.book.ages():
            run.append(key_of(task, submitted_us))
            if len(run) == SORT_CHUNK:
                runs.append(sorted(run))
                run = []
                await anyio.lowlevel.checkpoint()
        runs.append(sorted(run))
        while len(runs) > 1:
            joined = []
            for start in range(0, len(runs), 2):
                joined.append(sorted(chain.from_iterable(runs[start : start + 2])))
                await anyio.lowlevel.checkpoint()
            runs = joined
        return runs[0]
