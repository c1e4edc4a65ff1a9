"""The choice of a node for a task of one class and size. Pure."""

import heapq
from typing import TYPE_CHECKING

from coordinator.filters import fits_disk, fits_line
from coordinator.gates import Gate
from coordinator.orders import Order
from coordinator.shapes import By, Shape
from coordinator.snapshot import NodeState

if TYPE_CHECKING:
    from coordinator.cells import Waiting
    from coordinator.circles import Circle

SIZE_STEP_BITS = 3
"""Sizes are told apart by factors of 8: a task looks in vain only at nodes whose disk is nearly large enough."""


def size_class(size: int) -> int:
    """Sizes of one class have lower bounds alike; 0 is for unknown ones."""
    return (size.bit_length() + SIZE_STEP_BITS - 1) // SIZE_STEP_BITS


def size_floor(size_class: int) -> int:
    """The smallest size of a class, in bytes."""
    return 0 if size_class == 0 else 1 << (SIZE_STEP_BITS * (size_class - 1))


class Candidates(Gate):
    """The nodes of one class of tasks and sizes; closed while none of them has room."""

    def __init__(self, circle: "Circle", size_class: int) -> None:
        super().__init__()
        self.circle = circle
        self._floor = size_floor(size_class)
        self._bandwidth = circle.wanted.bandwidth
        self._too_large: list[tuple[int, int, str, Waiting]] = []
        self._passed = False
        """The last choice passed over nodes that have room."""

    def __repr__(self) -> str:
        return f"<Candidates of {self.circle!r} with {self._floor} bytes of disk>"

    def could_have(self, node: NodeState) -> bool:
        """Whether a node of theirs could be chosen now."""
        return node.facts.limit > node.assigned and fits_disk(node, self._floor) and fits_line(node, self._bandwidth)

    def close(self) -> None:
        """None of them has room: wait until one has."""
        super().close()
        self._watch()

    def consider(self, shape: Shape) -> None:
        """A shape came to the circle."""
        if self.is_closed or self._too_large:
            shape.watchers.add(self)

    def unwatch(self, shape: Shape) -> None:
        """Nothing waits for a node of this shape any more."""
        if not self.is_closed and not self._too_large:
            shape.watchers.discard(self)

    def unwatch_all(self) -> None:
        for shape in self.circle.able:
            shape.watchers.discard(self)

    def _watch(self) -> None:
        for shape in self.circle.able:
            shape.watchers.add(self)

    def choose(self, task: "Waiting") -> NodeState | None:
        """The best node for a task; one on which it failed only where there is no other."""
        self._passed = False
        loosest = self.circle.loosest(task.origins)
        found = loosest.first()
        if found is None:
            return None
        # The best of all nodes is the best of those that suit, where it does: so that classes which differ by size and
        # bandwidth alone share one order while neither is scarce.
        node = found[1]
        if fits_disk(node, task.size) and fits_line(node, self._bandwidth) and node.node not in task.avoid:
            return node
        by = By(loosest.by.wanted, loosest.by.origin, self._floor, self._bandwidth)
        return self._choose_among(self.circle.order(by), task)

    def _choose_among(self, order: Order, task: "Waiting") -> NodeState | None:
        """The first that suits; those that don't are passed over."""
        passed: list[tuple[Shape, str]] = []
        chosen = fallback = None
        while (found := order.first()) is not None:
            shape, node = found
            if fits_disk(node, task.size):
                if node.node not in task.avoid:
                    chosen = node
                    break
                fallback = fallback or node
            passed.append((shape, node.node))
            shape.pass_over(order.by, node.node)
        for shape, name in passed:
            shape.rose(name)
            order.changed.add(shape)
        self._passed = bool(passed)
        return chosen or fallback

    def set_aside(self, task: "Waiting") -> bool:
        """Keep the task that was just looked at and is too large for every node with room. False: none has room."""
        if self._passed:
            self._watch()
            heapq.heappush(self._too_large, (task.size, task.order, task.task, task))
        return self._passed

    def fitting(self, node: NodeState) -> list["Waiting"]:
        """Take out the tasks set aside that a node has disk for now."""
        found = []
        while self._too_large and fits_disk(node, self._too_large[0][0]):
            found.append(heapq.heappop(self._too_large)[3])
        return found

    def all_set_aside(self) -> list["Waiting"]:
        found = [entry[3] for entry in self._too_large]
        self._too_large.clear()
        return found
