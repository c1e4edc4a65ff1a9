"""A cell: the waiting tasks of one owner and one class. Pure."""

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from coordinator.gates import Gate
from coordinator.lazyheap import Key, LazyHeap
from coordinator.snapshot import Task, Wanted

if TYPE_CHECKING:
    from coordinator.candidates import Candidates


class Kind(NamedTuple):
    """Tasks that the same gates hold up."""

    wanted: Wanted
    size_class: int
    origins: tuple[str, ...]
    """Those of its origins that have a limit or cool down."""


class Cell:
    """The tasks of one owner and one kind: a heap for each priority. Removal is lazy."""

    __slots__ = (
        "best_key",
        "by_priority",
        "candidates",
        "count",
        "gates",
        "head",
        "is_parked",
        "kind",
        "number",
        "owner",
    )

    def __init__(
        self, owner: "OwnerQueue", kind: Kind, candidates: "Candidates", gates: tuple[Gate, ...], number: int
    ) -> None:
        self.owner = owner
        self.kind = kind
        self.candidates = candidates
        """The nodes that could take its tasks: closed while none has room."""
        self.gates = gates
        """What else may hold it up."""
        self.number = number
        """Tells it from the others of its owner."""
        self.by_priority: dict[int, list[Waiting]] = {}
        self.count = 0
        self.is_parked = False
        self.head: Waiting | None = None
        """The first of the highest priority, where that is known."""
        self.best_key: Key | None = None
        """By which the head goes among the owner's cells."""

    def __lt__(self, other: "Cell") -> bool:
        """In a heap two have one key for a while where a task went from one to the other."""
        return self.number < other.number

    def __repr__(self) -> str:
        return f"<Cell {self.count} tasks of {self.owner.name}>"

    def closed_gate(self) -> Gate | None:
        if self.candidates.is_closed:
            return self.candidates
        for gate in self.gates:
            if gate.is_closed:
                return gate
        return None


class Waiting(Struct, frozen=True, order=True, gc=False):
    """A waiting task in as little memory as will do: a million of them may wait."""

    order: int
    task: str
    sequence: int
    priority: int
    size: int
    origins: tuple[str, ...]
    avoid: tuple[str, ...]
    cell: Cell

    def as_task(self) -> Task:
        """As it was added."""
        return Task(
            task=self.task,
            owner=self.cell.owner.name,
            priority=self.priority,
            order=self.order,
            sequence=self.sequence,
            wanted=self.cell.kind.wanted,
            size=self.size,
            origins=self.origins,
            avoid=self.avoid,
        )


class OwnerQueue:
    """One owner's cells."""

    __slots__ = ("best", "cells", "count", "first", "name", "oldest")

    def __init__(self, name: str) -> None:
        self.name = name
        self.cells: dict[Kind, Cell] = {}
        self.best: LazyHeap[Cell] = LazyHeap()
        """By priority, then order."""
        self.oldest: LazyHeap[Cell] = LazyHeap()
        """By order alone."""
        self.first: Waiting | None = None
        """Of the cells that are not parked the task that goes first, where that is known."""
        self.count = 0

    def __repr__(self) -> str:
        return f"<OwnerQueue {self.name}: {self.count} tasks in {len(self.cells)} cells>"
