"""Pages of the tasks that match a filter, in milliseconds however many there are.

Which tasks have what is asked for, and in which order of time, the index tells; other orders are those of an index of
the database. Text is looked for in the lines themselves, a stretch of them at a time; where few match, a page ends
early with fewer tasks than asked for.

A listing by time is stable: a task that ends while it is read would move to its front, past the reader. So the cursor
tells how far the log was read when the listing began, and what has ended since keeps the place that it had.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from gateway.readmodel.changes import bound
from gateway.readmodel.cursors import Cursor, Sort, read, written
from gateway.readmodel.index import HIGHEST, LOWEST
from gateway.readmodel.store import SOME, Store, readable
from gateway.readmodel.terms import groups_of
from schemas.filter import TaskFilter
from schemas.view import TaskView

STRETCH = 2_000
"""Tasks looked at in one go, at most: some 5 ms. The first stretch of a page is small, each further one larger."""
WITHIN_S = 0.05
"""A page that has come to nothing much by then ends after the stretch that it is at."""
FEW = 4_000
"""So many tasks are sorted for a page rather than looked for along an index."""
MOVED_MAX = 100_000
"""A listing is stable until so many events were written since it began."""
_LINES = f"SELECT id, task, state, ended, submitted, body FROM tasks WHERE id IN {SOME}"


class Found(NamedTuple):
    tasks: list[TaskView]
    after: str


class Place(NamedTuple):
    """Where a task stands in the order: what that goes by, and among equals the task's number."""

    value: Any
    task: int


class Line(NamedTuple):
    """One task on the way into a page."""

    at: Place
    view: TaskView


Stretch = list[tuple[Any, int]]
"""Some that may match, in order: what the order goes by, and the line's id."""
Reached = tuple[Stretch, Place]
"""… and how far that reaches."""


class Listing:
    """One page being made."""

    def __init__(self, store: Store, where: TaskFilter, sort: Sort, after: str = "") -> None:
        """Raises CursorInvalid."""
        self._store, self._database, self._index = store, store.database, store.index
        self._where, self._sort = where, sort
        cursor = read(after, sort) if after else None
        seen_to = cursor.seen_to if cursor else store.log_read_to
        self._seen_to = seen_to if store.log_read_to - seen_to <= MOVED_MAX else store.log_read_to
        self._is_timely = sort.column == "key"
        self._start = Place(cursor.value, cursor.task) if cursor else None
        self._low = bound(where.since) if where.since is not None else LOWEST
        self._high = bound(where.until) - 1 if where.until is not None else HIGHEST
        self._members = self._index.matching(groups_of(where))

    def page(self, limit: int) -> Found:
        """At most so many; `after` is empty where there are no more."""
        end_by = time.monotonic() + WITHIN_S
        lines: list[Line] = []
        floor: Place | None = None
        for stretch, reached in self._stretches(limit + 1):
            lines += islice(self._lines(stretch), limit + 1 - len(lines))
            if len(lines) > limit or time.monotonic() > end_by:
                floor = reached
                break
        end = lines[-1].at if len(lines) > limit else floor
        if self._is_timely and self._store.log_read_to > self._seen_to:
            lines = sorted([*lines, *self._moved(end, limit + 1)], key=_place, reverse=self._sort.is_down)
        views = [line.view for line in lines[:limit]]
        if len(lines) > limit:
            return Found(views, self._written(lines[limit - 1].at))
        return Found(views, self._written(floor) if floor is not None else "")

    def count(self) -> Iterator[int]:
        """How many match, a stretch at a time: others may change the store in between."""
        if not self._where.text:
            yield self._index.count(self._members, self._low, self._high)
            return
        members, asked = self._members.copy(), f"SELECT count(*) FROM tasks WHERE id IN {SOME} AND instr(text, ?)"
        while some := members[:STRETCH]:
            last = some.max()
            members.remove_range(0, last + 1)
            ids = [line for line in some if line in self._index.everything and self._is_in_time(line)]
            yield int(self._database.execute(asked, (str(ids), self._where.text.casefold())).fetchone()[0])

    def _written(self, at: Place) -> str:
        return written(Cursor(self._sort, self._seen_to, at.value, at.task))

    def _is_in_time(self, line: int) -> bool:
        return self._low <= self._index.key(line) <= self._high

    def _is_beyond(self, at: Place) -> bool:
        """Whether it comes after the page before."""
        return self._start is None or (at < self._start if self._sort.is_down else at > self._start)

    def _stretches(self, some: int) -> Iterator[Reached]:
        """What may match, in order."""
        if self._is_timely:
            yield from self._by_time(some)
        elif len(self._members) <= FEW:
            found = self._sorted()
            for begin in range(0, len(found), some):
                stretch = found[begin : begin + some]
                yield [(value, line) for value, _, line in stretch], Place(*stretch[-1][:2])
        else:
            yield from self._along(some)

    def _by_time(self, some: int) -> Iterator[Reached]:
        low, high = self._low, self._high
        if self._start is not None:
            low, high = (
                (low, min(high, self._start.value)) if self._sort.is_down else (max(low, self._start.value), high)
            )
        walk = self._with_equals(self._index.walk(self._members, is_down=self._sort.is_down, low=low, high=high))
        while stretch := list(islice(walk, some)):
            key, line = stretch[-1]
            yield stretch, Place(key, self._numbers([line])[line])
            some = min(2 * some, STRETCH)

    def _with_equals(self, walk: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """With those of one key in the order of their numbers, which is the same in every gateway."""
        held: Stretch = []
        for one in walk:
            if held and held[0][0] != one[0]:
                yield from self._in_order(held)
                held = []
            held.append(one)
        yield from self._in_order(held)

    def _in_order(self, equals: Stretch) -> Stretch:
        if len(equals) == 1 and (self._start is None or equals[0][0] != self._start.value):
            return equals
        numbers = self._numbers([line for _, line in equals])
        equals = [(key, line) for key, line in equals if self._is_beyond(Place(key, numbers[line]))]
        return sorted(equals, key=lambda one: numbers[one[1]], reverse=self._sort.is_down)

    def _numbers(self, lines: list[int]) -> dict[int, int]:
        return dict(self._database.execute(f"SELECT id, task FROM tasks WHERE id IN {SOME}", (str(lines),)))

    def _sorted(self) -> list[tuple[Any, int, int]]:
        column = self._sort.column
        asked = f"SELECT {column}, task, id FROM tasks WHERE id IN {SOME} AND {column} IS NOT NULL"
        found = self._database.execute(asked, (str(list(self._members)),)).fetchall()
        found = [one for one in found if self._is_in_time(one[2]) and self._is_beyond(Place(*one[:2]))]
        return sorted(found, reverse=self._sort.is_down)

    def _along(self, some: int) -> Iterator[Reached]:
        """Along an index of the database."""
        column, (compare, order) = self._sort.column, ("<", "DESC") if self._sort.is_down else (">", "ASC")
        is_any = self._members is self._index.everything and (self._low, self._high) == (LOWEST, HIGHEST)
        start = self._start
        while True:
            beyond = f" AND ({column}, task) {compare} (?, ?)" if start is not None else ""
            found = self._database.execute(
                f"SELECT {column}, task, id FROM tasks WHERE {column} IS NOT NULL{beyond} "
                f"ORDER BY {column} {order}, task {order} LIMIT {some}",
                start or (),
            ).fetchall()
            if not found:
                return
            start, some = Place(*found[-1][:2]), min(2 * some, STRETCH)
            members = self._members
            yield (
                [(value, line) for value, _, line in found if is_any or (line in members and self._is_in_time(line))],
                start,
            )

    def _moved(self, end: Place | None, some: int) -> list[Line]:
        """What has ended since the listing began, where it stood then: no further than the page goes."""
        compare, reached = ("<=", ">=") if self._sort.is_down else (">=", "<=")
        conditions, values = ["ended > ?", "submitted IS NOT NULL"], [self._seen_to]
        for sign, at in ((compare, self._start), (reached, end)):
            if at is not None:
                conditions.append(f"submitted {sign} ?")
                values.append(at.value)
        asked = f"SELECT submitted, id FROM tasks WHERE {' AND '.join(conditions)}"
        members = self._members
        found = [one for one in self._database.execute(asked, values) if one[1] in members]
        found.sort(reverse=self._sort.is_down)
        lines: list[Line] = []
        for start in range(0, len(found), STRETCH):
            for line in self._lines(found[start : start + STRETCH], has_moved=True):
                is_within = end is None or line.at == end or (line.at > end) == self._sort.is_down
                if is_within and self._is_beyond(line.at):
                    lines.append(line)
                    if len(lines) > some:
                        return lines
        return lines

    def _lines(self, stretch: Stretch, *, has_moved: bool = False) -> Iterator[Line]:
        """Those that do match."""
        asked, values = _LINES, [str([line for _, line in stretch])]
        if self._where.text:
            asked, values = f"{asked} AND instr(text, ?)", [*values, self._where.text.casefold()]
        found = {one[0]: one[1:] for one in self._database.execute(asked, values)}
        for value, line in stretch:
            if line not in found:
                continue
            number, state, ended, submitted, body = found[line]
            moved = self._is_timely and ended is not None and submitted is not None and ended > self._seen_to
            if moved is not has_moved:
                continue
            view = readable(body, state, has_ended=ended is not None)
            if view is not None and self._where.matches(view):
                yield Line(Place(value, number), view)


def _place(line: Line) -> Place:
    return line.at
