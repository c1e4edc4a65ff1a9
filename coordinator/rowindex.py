"""Where tasks stand, counted and listed, so that nobody has to look at each of a million rows to know. Pure."""

import heapq
from collections import Counter
from collections.abc import Iterator
from itertools import chain

from coordinator.packed import Outline
from schemas.ids import QUEUED
from schemas.lifecycle import Desired, State

SECOND_US = 1_000_000
STALE_SPARE = 64
"""So many stale entries are never worth tidying up."""


class RowIndex:
    """Kept from the outline of each task's true row. Tasks are listed in the order in which they came."""

    def __init__(self) -> None:
        self.wishes: Counter[tuple[State, Desired]] = Counter()
        """How many tasks are in which state, with which wish."""
        self.ending: dict[str, None] = {}
        self.deadlines = Deadlines()
        """Of the tasks that wait in the queue."""
        self.ages = Ages()
        """Of the tasks that wait in the queue."""
        self._queued = 0
        self._at: dict[str, dict[str, None]] = {}

    def __repr__(self) -> str:
        return f"<RowIndex {self._queued} queued, {len(self._at)} nodes, {len(self.ending)} ending>"

    def add(self, task: str, row: Outline) -> None:
        """This is its true row now."""
        self.wishes[row.state, row.wish] += 1
        if row.place == QUEUED:
            self._queued += 1
        else:
            self._at.setdefault(row.place, {})[task] = None
        if row.state is State.ENDING:
            self.ending[task] = None
        elif row.state is State.QUEUED:
            self.ages.add(row.submitted_us)
            if row.deadline is not None:
                self.deadlines.add(task, row.deadline)

    def drop(self, task: str, row: Outline) -> None:
        """This was its true row."""
        self.wishes[row.state, row.wish] -= 1
        if row.place == QUEUED:
            self._queued -= 1
        else:
            del self._at[row.place][task]
            if not self._at[row.place]:
                del self._at[row.place]
        if row.state is State.ENDING:
            del self.ending[task]
        elif row.state is State.QUEUED:
            self.ages.drop(row.submitted_us)
            if row.deadline is not None:
                self.deadlines.drop(task)

    def count_at(self, place: str) -> int:
        return self._queued if place == QUEUED else len(self._at.get(place, ()))

    def at_nodes(self) -> Iterator[str]:
        """Tasks whose true row stands at a node, node by node."""
        return chain.from_iterable(self._at.values())


class Deadlines:
    """Tasks by deadline: a heap whose stale entries are met or, when they are too many, cleared out."""

    def __init__(self) -> None:
        self._of: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._past: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._of)

    def __repr__(self) -> str:
        return f"<Deadlines of {len(self._of)} tasks, {len(self._past)} past, {len(self._heap)} in the heap>"

    def add(self, task: str, deadline: float) -> None:
        """Unix seconds."""
        self._of[task] = deadline
        heapq.heappush(self._heap, (deadline, task))
        if len(self._heap) > 2 * len(self._of) + STALE_SPARE:
            self._heap = [(deadline, task) for task, deadline in self._of.items() if task not in self._past]
            heapq.heapify(self._heap)

    def drop(self, task: str) -> None:
        del self._of[task]
        self._past.pop(task, None)

    def past(self, now: float) -> Iterator[str]:
        """Tasks whose deadline has passed by `now`."""
        while self._heap and self._heap[0][0] <= now:
            deadline, task = heapq.heappop(self._heap)
            if self._of.get(task) == deadline:
                self._past[task] = None
        return iter(self._past)


class Ages:
    """How old the oldest is of many that come and go: they are counted by the second."""

    def __init__(self) -> None:
        self._seconds: dict[int, tuple[int, int]] = {}

    def __repr__(self) -> str:
        return f"<Ages of {sum(count for count, _ in self._seconds.values())}, in {len(self._seconds)} seconds>"

    def add(self, moment_us: int) -> None:
        """Unix microseconds; 0, for unknown, is not counted."""
        if moment_us:
            count, first = self._seconds.get(moment_us // SECOND_US, (0, moment_us))
            self._seconds[moment_us // SECOND_US] = count + 1, min(first, moment_us)

    def drop(self, moment_us: int) -> None:
        if moment_us:
            count, first = self._seconds[moment_us // SECOND_US]
            if count > 1:
                self._seconds[moment_us // SECOND_US] = count - 1, first
            else:
                del self._seconds[moment_us // SECOND_US]

    def oldest_us(self) -> int | None:
        """The earliest moment, too early by a second at most where the first of its second has gone; None: no task."""
        return self._seconds[min(self._seconds)][1] if self._seconds else None
