"""Tasks that wait for a node, by owner and class, in the order in which they go. Pure.

A cell holds the tasks of one owner and one class. Cells whose class can't be placed now wait behind a gate, so that
what is blocked costs nothing and blocks nobody.
"""

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING

from coordinator.cells import Cell, Kind, OwnerQueue, Waiting
from coordinator.gates import Gate
from coordinator.lazyheap import Key, LazyHeap
from coordinator.snapshot import Task
from coordinator.turns import Turns

if TYPE_CHECKING:
    from coordinator.candidates import Candidates


class Pending:
    """Everything that waits."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._entries: dict[str, Waiting] = {}
        self._owners: dict[str, OwnerQueue] = {}
        self._by_priority: LazyHeap[str] = LazyHeap()
        self._by_turn: LazyHeap[str] = LazyHeap()
        self._held_owners: set[str] = set()
        self._cells_made = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, task: str) -> bool:
        return task in self._entries

    def __repr__(self) -> str:
        return f"<Pending {len(self._entries)} tasks of {len(self._owners)} owners>"

    def get(self, task: str) -> Waiting | None:
        return self._entries.get(task)

    def owner(self, name: str) -> OwnerQueue | None:
        return self._owners.get(name)

    def owners(self) -> tuple[str, ...]:
        return tuple(self._owners)

    def cells(self) -> Iterator[Cell]:
        for owner in self._owners.values():
            yield from owner.cells.values()

    def of(self, cell: Cell) -> Iterator["Waiting"]:
        """The tasks of a cell that are not set aside, in no order."""
        for heap in cell.by_priority.values():
            yield from (waiting for waiting in heap if self._entries.get(waiting.task) is waiting)

    def add(self, task: Task, kind: Kind, candidates: "Candidates", gates: tuple[Gate, ...]) -> None:
        """Add a task, or replace what was known of it."""
        known = self._entries.get(task.task)
        if known is not None:
            if known.sequence == task.sequence and known.cell.kind == kind and known.cell.owner.name == task.owner:
                return
            self.discard(task.task)
        self.put(task, self._cell(task.owner, kind, candidates, gates))

    def put(self, task: Task, cell: Cell) -> None:
        """Add a task that does not wait to a cell in which others wait."""
        waiting = Waiting(
            task.order, task.task, task.sequence, task.priority, task.size, task.origins, task.avoid, cell
        )
        self._entries[task.task] = waiting
        cell.count += 1
        cell.owner.count += 1
        self._push(waiting)

    def _cell(self, name: str, kind: Kind, candidates: "Candidates", gates: tuple[Gate, ...]) -> Cell:
        owner = self._owners.get(name)
        if owner is None:
            owner = self._owners[name] = OwnerQueue(name)
            self._turns.enters(name)
        cell = owner.cells.get(kind)
        if cell is None:
            self._cells_made += 1
            cell = owner.cells[kind] = Cell(owner, kind, candidates, gates, self._cells_made)
        return cell

    def lift(self, waiting: Waiting) -> None:
        """Take the first of its priority out of the order; it waits on until it is put back."""
        waiting.cell.head = waiting.cell.owner.first = None
        lifted = heapq.heappop(waiting.cell.by_priority[waiting.priority])
        assert lifted is waiting, "only the first is lifted"

    def put_back(self, waiting: Waiting) -> None:
        """Where it still waits, it stands in the order again."""
        if self._entries.get(waiting.task) is waiting:
            self._push(waiting)

    def _push(self, waiting: Waiting) -> None:
        cell = waiting.cell
        heap = cell.by_priority.get(waiting.priority)
        if heap is None:
            heap = cell.by_priority[waiting.priority] = []
        heapq.heappush(heap, waiting)
        if heap[0] is waiting:
            cell.head = None
            if not cell.is_parked:
                self._offer(cell)

    def discard(self, task: str) -> None:
        """It waits no more."""
        waiting = self._entries.pop(task, None)
        if waiting is None:
            return
        cell, owner = waiting.cell, waiting.cell.owner
        if cell.head is waiting:
            cell.head = None
        if owner.first is waiting:
            owner.first = None
        cell.count -= 1
        owner.count -= 1
        if cell.count == 0:
            self._remove(cell)
        if owner.count == 0:
            del self._owners[owner.name]
            self._turns.leaves(owner.name)

    def hold(self, owner: str, *, is_held: bool) -> None:
        """Whether an owner has as many tasks at nodes as it may."""
        if is_held:
            self._held_owners.add(owner)
        elif owner in self._held_owners:
            self._held_owners.discard(owner)
            self._offer_owner(owner)

    @property
    def has_held_owners(self) -> bool:
        return bool(self._held_owners)

    def is_held(self, owner: str) -> bool:
        return owner in self._held_owners

    def park(self, cell: Cell, gate: Gate) -> None:
        """Nothing of it can be placed before a gate opens."""
        if not cell.is_parked:
            cell.is_parked = True
            cell.owner.first = None
            cell.owner.best.drop(cell)
            cell.owner.oldest.drop(cell)
            gate.hold(cell)

    def unpark(self, cells: list[Cell]) -> None:
        """The gate before them opened."""
        for cell in cells:
            cell.is_parked = False
            if cell.count:
                self._offer(cell)

    def next(self, *, by_age: bool) -> Waiting | None:
        """What goes next among the cells that are not parked; it stays where it is.

        The highest priority first, then the owner whose turn it is, then the oldest. `by_age`: the oldest of the owner
        whose turn it is, whatever its priority.
        """
        heap, key = (self._by_turn, self._turn_key) if by_age else (self._by_priority, self._priority_key)
        found = heap.first(key)
        if found is None:
            return None
        owner = self._owners[found[-1]]
        if by_age:
            first = owner.oldest.first(self._oldest_key)
            return self.oldest_of(first[-1]) if first is not None else None
        return self._first(owner)

    def _offer(self, cell: Cell) -> None:
        owner = cell.owner
        owner.first = None
        if (key := self._best_key(cell)) is not None:
            owner.best.offer(key)
        if (key := self._oldest_key(cell)) is not None:
            owner.oldest.offer(key)
        self._offer_owner(owner.name)

    def _offer_owner(self, name: str) -> None:
        if name in self._owners:
            if (key := self._priority_key(name)) is not None:
                self._by_priority.offer(key)
            if (key := self._turn_key(name)) is not None:
                self._by_turn.offer(key)

    def _remove(self, cell: Cell) -> None:
        owner = cell.owner
        owner.best.drop(cell)
        owner.oldest.drop(cell)
        del owner.cells[cell.kind]
        cell.by_priority.clear()

    def _priority_key(self, name: str) -> Key | None:
        owner = self._owners.get(name)
        if owner is None or name in self._held_owners:
            return None
        first = owner.first if owner.first is not None else self._first(owner)
        return (-first.priority, self._turns.of(name), name) if first is not None else None

    def _turn_key(self, name: str) -> Key | None:
        owner = self._owners.get(name)
        if owner is None or name in self._held_owners or self._first(owner) is None:
            return None
        return (self._turns.of(name), name)

    def _first(self, owner: OwnerQueue) -> Waiting | None:
        """What goes first of an owner's cells that are not parked."""
        if owner.first is None and (found := owner.best.first(self._best_key)) is not None:
            owner.first = self._head(found[-1])
        return owner.first

    def _best_key(self, cell: Cell) -> Key | None:
        return cell.best_key if cell.head is not None or self._head(cell) is not None else None

    def _oldest_key(self, cell: Cell) -> Key | None:
        found = self.oldest_of(cell)
        return (found.order, found.task, cell) if found is not None else None

    def _head(self, cell: Cell) -> Waiting | None:
        """The first of the highest priority."""
        if cell.head is not None:
            return cell.head
        by_priority = cell.by_priority
        while by_priority:
            priority = max(by_priority) if len(by_priority) > 1 else next(iter(by_priority))
            if (found := self._current(by_priority, priority)) is not None:
                cell.head = found
                cell.best_key = (-priority, found.order, found.task, cell)
                return found
        return None

    def oldest_of(self, cell: Cell) -> Waiting | None:
        """The first of all priorities; None where all are set aside."""
        if len(cell.by_priority) == 1:
            return self._head(cell)
        heads = (self._current(cell.by_priority, priority) for priority in tuple(cell.by_priority))
        return min((found for found in heads if found is not None), default=None)

    def _current(self, by_priority: dict[int, list[Waiting]], priority: int) -> Waiting | None:
        heap, entries = by_priority[priority], self._entries
        while heap:
            if entries.get(heap[0].task) is heap[0]:
                return heap[0]
            heapq.heappop(heap)
        del by_priority[priority]
        return None
