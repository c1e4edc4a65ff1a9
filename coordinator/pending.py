"""Tasks that wait for a node, by class: what is blocked never blocks others. Pure."""

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from coordinator.snapshot import Waiting


class TaskClass(NamedTuple):
    """Tasks that the same nodes could take."""

    tags: frozenset[str]
    capability: str


class Pending:
    """A heap a class, in the order of placing. Removal is lazy: a heap entry counts only while it is current."""

    def __init__(self) -> None:
        self._heaps: dict[TaskClass, list[Waiting]] = {}
        self._current: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._current)

    def __contains__(self, task: str) -> bool:
        return task in self._current

    def __repr__(self) -> str:
        return f"<Pending {len(self._current)} tasks in {len(self._heaps)} classes>"

    def add(self, waiting: Waiting) -> None:
        """Add a task, or replace what was known of it."""
        if self._current.get(waiting.task) == waiting:
            return
        self._current[waiting.task] = waiting
        heap = self._heaps.setdefault(TaskClass(waiting.tags, waiting.capability), [])
        heapq.heappush(heap, waiting)

    def discard(self, task: str) -> None:
        self._current.pop(task, None)

    def classes(self) -> Iterator[TaskClass]:
        return iter(tuple(self._heaps))

    def head(self, kind: TaskClass) -> Waiting | None:
        """The task of a class that goes first, None when it has none."""
        heap = self._heaps.get(kind)
        while heap:
            if self._current.get(heap[0].task) == heap[0]:
                return heap[0]
            heapq.heappop(heap)
        self._heaps.pop(kind, None)
        return None

    def take(self, waiting: Waiting) -> None:
        """It is being placed: out of the queue until its row says otherwise."""
        self.discard(waiting.task)
