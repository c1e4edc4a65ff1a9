"""Pages of the tasks that match a filter, in milliseconds however many there are.

A page is looked for along one index: the tasks of the rarest of the filter's terms, or all of them in their order.
It looks at a stretch of that at a time; where few match, it ends early with fewer tasks than asked for.

A listing by time is stable: a task that ends while it is read would move to its front, past the reader. So the cursor
tells how far the log was read when the listing began, and what has ended since keeps the place that it had.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from gateway.readmodel.changes import bound
from gateway.readmodel.cursors import Cursor, Sort, read, written
from gateway.readmodel.records import view_from
from gateway.readmodel.store import Store
from gateway.readmodel.terms import groups_of
from schemas.filter import TaskFilter
from schemas.view import TaskView

STRETCH = 8_000
"""Tasks looked at in one go."""
WITHIN_S = 0.05
"""A page that has come to nothing much by then ends after the stretch that it is at."""
FEW = 4_000
"""So many tasks of one term are sorted for a page rather than walked through."""
MOVED_MAX = 100_000
"""A listing is stable until so many events were written since it began."""
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


class Found(NamedTuple):
    tasks: list[TaskView]
    after: str


class Position(NamedTuple):
    """A place in the order: what it goes by, and among equals the line's id, or by anything but time its number."""

    value: Any
    tie: int


class Line(NamedTuple):
    """One task on the way into a page."""

    at: Position
    number: int
    view: TaskView


class Listing:
    """One page being made."""

    def __init__(self, store: Store, where: TaskFilter, sort: Sort, after: str = "") -> None:
        """Raises CursorInvalid."""
        self._database = store.database
        self._where, self._sort = where, sort
        cursor = read(after, sort) if after else None
        seen_to = cursor.seen_to if cursor else store.log_read_to
        self._seen_to = seen_to if store.log_read_to - seen_to <= MOVED_MAX else store.log_read_to
        self._is_timely = sort.column == "key"
        self._tie = "id" if self._is_timely else "task"
        self._compare, self._reached, self._order = ("<", ">=", "DESC") if sort.is_down else (">", "<=", "ASC")
        self._start = self._position_of(cursor) if cursor else None
        self._groups = groups_of(where)
        self._driver = self._rarest()

    def page(self, limit: int) -> Found:
        """At most so many; `after` is empty where there are no more."""
        end_by = time.monotonic() + WITHIN_S
        found: list[Line] = []
        position = self._start
        while True:
            floor = self._floor(position)
            found += islice(self._stretch(position, floor), limit + 1 - len(found))
            if floor is None or len(found) > limit or time.monotonic() > end_by:
                break
            position = floor
        moved = list(islice(self._moved(), limit + 1)) if self._is_timely else []
        if floor is not None and len(found) <= limit:  # what lies beyond belongs to a later page
            moved = [line for line in moved if line.at == floor or (line.at < floor) != self._sort.is_down]
        lines = sorted(found + moved, key=lambda line: line.at, reverse=self._sort.is_down)
        views = [line.view for line in lines[:limit]]
        if len(lines) > limit:
            last = lines[limit - 1]
            return Found(views, self._written(last.at.value, last.number))
        if floor is not None and len(found) <= limit:
            return Found(views, self._written(floor.value, self._number_at(floor)))
        return Found(views, "")

    def count(self) -> Iterator[int]:
        """How many match, a stretch at a time."""
        position = self._start
        while True:
            floor = self._floor(position)
            asked, values = self._asked("count(*)", position, floor)
            yield int(self._database.execute(asked, values).fetchone()[0])
            if floor is None:
                return
            position = floor

    def _written(self, value: Any, number: int) -> str:
        return written(Cursor(self._sort, self._seen_to, value, number))

    def _position_of(self, cursor: Cursor) -> Position:
        if not self._is_timely:
            return Position(cursor.value, cursor.task)
        found = self._database.execute("SELECT id FROM tasks WHERE task = ?", (cursor.task,)).fetchone()
        nowhere = LOWEST if self._sort.is_down else HIGHEST
        return Position(cursor.value, int(found[0]) if found else nowhere)

    def _number_at(self, at: Position) -> int:
        if not self._is_timely:
            return at.tie
        return int(self._database.execute("SELECT task FROM tasks WHERE id = ?", (at.tie,)).fetchone()[0])

    def _rarest(self) -> list[int] | None:
        """The group of terms that the fewest tasks are found by; None to walk through all tasks."""
        sizes = [(sum(map(self._few, group)), group) for group in self._groups]
        if not sizes:
            return None
        size, group = min(sizes, key=lambda each: each[0])
        # Many alternatives can't be walked through in order: either there are few tasks in all, or one list.
        return group if size <= FEW or (self._is_timely and len(group) == 1) else None

    def _few(self, term: int) -> int:
        asked = "SELECT count(*) FROM (SELECT 1 FROM terms WHERE term = ? LIMIT ?)"
        return int(self._database.execute(asked, (term, FEW + 1)).fetchone()[0])

    def _floor(self, position: Position | None) -> Position | None:
        """The end of the next stretch; None where it is the last."""
        column, tie = self._sort.column, self._tie
        conditions, values = self._within("", position, None)
        table = "tasks"
        if self._driver is not None:
            if len(self._driver) > 1 or not self._is_timely:
                return None  # few enough to be sorted at once
            table, values = "terms", [self._driver[0], *values]
            conditions = ["term = ?", *conditions]
        found = self._database.execute(
            f"SELECT {column}, {tie} FROM {table} WHERE {' AND '.join(conditions)} "
            f"ORDER BY {column} {self._order}, {tie} {self._order} LIMIT 1 OFFSET {STRETCH}",
            values,
        ).fetchone()
        return Position(*found) if found else None

    def _within(self, prefix: str, position: Position | None, floor: Position | None) -> tuple[list[str], list[Any]]:
        """The part of the order to look at, and where that goes by time what the filter says of it."""
        column, tie = f"{prefix}{self._sort.column}", f"{prefix}{self._tie}"
        conditions, values = [f"{column} IS NOT NULL"], list[Any]()
        for compare, end in ((self._compare, position), (self._reached, floor)):
            if end is not None:
                conditions.append(f"({column}, {tie}) {compare} (?, ?)")
                values += end
        if self._is_timely:
            for compare, moment in ((">=", self._where.since), ("<", self._where.until)):
                if moment is not None:
                    conditions.append(f"{column} {compare} ?")
                    values.append(bound(moment))
        return conditions, values

    def _asked(self, what: str, position: Position | None, floor: Position | None) -> tuple[str, list[Any]]:
        """The query for everything that matches in a stretch."""
        conditions, values = self._within("t.", position, floor)
        table, given = "tasks t", list[Any]()
        if self._driver is not None and len(self._driver) == 1 and self._is_timely:
            table, given = "terms x CROSS JOIN tasks t ON t.id = x.id", []
            conditions, values = self._within("x.", position, floor)
            conditions, values = ["x.term = ?", *conditions], [self._driver[0], *values]
        elif self._driver is not None:
            table = f"(SELECT DISTINCT id FROM terms WHERE term IN ({_marks(self._driver)})) x CROSS JOIN tasks t"
            table, given = f"{table} ON t.id = x.id", [*self._driver]
        for group in self._groups:
            if group is not self._driver:
                same = "y.key = t.key AND y.id = t.id"
                conditions.append(f"EXISTS (SELECT 1 FROM terms y WHERE y.term IN ({_marks(group)}) AND {same})")
                values += group
        if self._where.text:
            conditions.append("instr(t.text, ?)")
            values.append(self._where.text.casefold())
        if not self._is_timely:
            for compare, moment in ((">=", self._where.since), ("<", self._where.until)):
                if moment is not None:
                    conditions.append(f"t.key {compare} ?")
                    values.append(bound(moment))
        elif what != "count(*)":
            conditions.append("(t.ended IS NULL OR t.submitted IS NULL OR t.ended <= ?)")
            values.append(self._seen_to)
        return f"SELECT {what} FROM {table} WHERE {' AND '.join(conditions)}", [*given, *values]

    def _stretch(self, position: Position | None, floor: Position | None) -> Iterator[Line]:
        walked = "x" if self._driver is not None and len(self._driver) == 1 and self._is_timely else "t"
        column, tie = f"{walked}.{self._sort.column}", f"{walked}.{self._tie}"
        asked, values = self._asked(f"{column}, {tie}, t.task, t.body, t.state, t.ended", position, floor)
        yield from self._lines(f"{asked} ORDER BY {column} {self._order}, {tie} {self._order}", values)

    def _moved(self) -> Iterator[Line]:
        """What has ended since the listing began, where it stood then."""
        asked = (
            "SELECT submitted, id, task, body, state, ended FROM tasks WHERE ended > ? AND submitted IS NOT NULL"
            + (f" AND (submitted, id) {self._compare} (?, ?)" if self._start else "")
            + f" ORDER BY submitted {self._order}, id {self._order}"
        )
        yield from self._lines(asked, [self._seen_to, *(self._start or ())])

    def _lines(self, asked: str, values: list[Any]) -> Iterator[Line]:
        for value, tie, number, body, state, ended in self._database.execute(asked, values):
            view = view_from(body, state, has_ended=ended is not None)
            if self._where.matches(view):
                yield Line(Position(value, tie), number, view)


def _marks(values: list[int]) -> str:
    return ", ".join("?" * len(values))
