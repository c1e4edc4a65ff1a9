"""The nodes that could take a class of tasks, best first, without looking at each of them for each task. Pure.

Being given a task makes a node's score worse with most strategies, and nothing is done about it until the node comes to
the top. What makes a score better is told to each class that counts the node's shape among its own.
"""

import heapq

from coordinator.filters import has_disk
from coordinator.gates import Gate
from coordinator.lazyheap import Key, LazyHeap
from coordinator.pending import Waiting
from coordinator.shapes import By, Fleet, Shape, has_room_for, size_floor
from coordinator.snapshot import NodeState, Wanted

ORDERS_MAX = 64
"""Of one class, by origin: nodes are not told apart by more origins than these."""


class Order:
    """The shapes of one class by their best nodes."""

    __slots__ = ("by", "changed", "shapes")

    def __init__(self, by: By, changed: set[Shape]) -> None:
        self.by = by
        self.shapes: LazyHeap[Shape] = LazyHeap()
        self.changed = changed
        """Those that may be better than they stand here."""


class Candidates(Gate):
    """The nodes of one class of tasks and sizes; closed while none of them has room."""

    def __init__(self, fleet: Fleet, wanted: Wanted, size_class: int) -> None:
        super().__init__()
        self.wanted = wanted
        self._fleet = fleet
        self._floor = size_floor(size_class)
        self._able: set[Shape] = set()
        self._orders: dict[str, Order] = {}
        self._too_large: list[tuple[int, int, str, Waiting]] = []
        self._passed = False
        """The last choice passed over nodes that have room."""
        self._count = 0
        self._counted_at = -1
        self.is_built = False

    def __repr__(self) -> str:
        return f"<Candidates {self.count} nodes for {self.wanted}>"

    @property
    def count(self) -> int:
        """Nodes that could take such tasks if they had room."""
        if self._counted_at != self._fleet.changes:
            self._able = {shape for shape in self._able if shape.nodes}
            self._count = sum(len(shape.nodes) for shape in self._able)
            self._counted_at = self._fleet.changes
        return self._count

    def build(self) -> None:
        """Look at every shape anew."""
        self._able = {shape for shape in self._fleet.shapes.values() if self._is_able(shape)}
        self._orders.clear()
        self._counted_at = -1
        self.is_built = True

    def forget(self) -> None:
        """Keep nothing that `build` finds out again."""
        for shape in self._able:
            shape.watchers.discard(self)
        self._able.clear()
        self._orders.clear()
        self.is_built = False

    def consider(self, shape: Shape) -> None:
        """A shape may be new."""
        if shape not in self._able and self._is_able(shape):
            self._able.add(shape)
            self._counted_at = -1
            for order in self._orders.values():
                order.changed.add(shape)
            if self.is_closed or self._too_large:
                shape.watchers.add(self)

    def could_have(self, node: NodeState) -> bool:
        """Whether a node of theirs could be chosen now."""
        return has_room_for(node, self._floor, self.wanted.bandwidth)

    def close(self) -> None:
        """None of them has room: wait until one has."""
        super().close()
        self._watch()

    def unwatch(self, shape: Shape) -> None:
        """Nothing waits for a node of this shape any more."""
        if not self.is_closed and not self._too_large:
            shape.watchers.discard(self)

    def _watch(self) -> None:
        for shape in self._able:
            shape.watchers.add(self)

    def group_fell(self, group: str) -> None:
        """The nodes with a value of the strategy's tag have one task less."""
        for order in self._orders.values():
            order.changed.update(shape for shape in self._able if shape.group == group)

    def choose(self, task: Waiting) -> NodeState | None:
        """The best node for a task; one on which it failed only where there is no other."""
        order = self._order(self._origin_of(task))
        passed: list[tuple[Shape, str]] = []
        chosen = fallback = None
        while (found := self._first(order)) is not None:
            shape, node = found
            if has_disk(node, self.wanted, task.size) is None:
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

    def set_aside(self, task: Waiting) -> bool:
        """Keep the task that was just looked at and is too large for every node with room. False: none has room."""
        if self._passed:
            self._watch()
            heapq.heappush(self._too_large, (task.size, task.order, task.task, task))
        return self._passed

    def fitting(self, node: NodeState) -> list[Waiting]:
        """Take out the tasks set aside that a node has disk for now."""
        found = []
        while self._too_large and has_disk(node, self.wanted, self._too_large[0][0]) is None:
            found.append(heapq.heappop(self._too_large)[3])
        return found

    def all_set_aside(self) -> list[Waiting]:
        found = [entry[3] for entry in self._too_large]
        self._too_large.clear()
        return found

    def _is_able(self, shape: Shape) -> bool:
        wanted = self.wanted
        return (
            wanted.tags <= shape.tags
            and wanted.avoid_tags.isdisjoint(shape.tags)
            and wanted.capability in shape.capabilities
        )

    def _origin_of(self, task: Waiting) -> str:
        """The origin by which scores for a task differ; empty where they don't."""
        if not self._fleet.strategy.by_origin or not task.origins or not self._fleet.speeds.knows(task.origins[0]):
            return ""
        origin = task.origins[0]
        return origin if origin in self._orders or len(self._orders) < ORDERS_MAX else ""

    def _order(self, origin: str) -> Order:
        order = self._orders.get(origin)
        if order is None:
            seen = self.wanted if self._fleet.strategy.by_wanted else Wanted("", bandwidth=self.wanted.bandwidth)
            order = self._orders[origin] = Order(By(self._floor, seen, origin), set(self._able))
        return order

    def _first(self, order: Order) -> tuple[Shape, NodeState] | None:
        """The best node with room, and its shape; it stays where it is."""
        by, prefer_tags, in_group = order.by, self.wanted.prefer_tags, self._fleet.in_group

        def true_key(shape: Shape) -> Key | None:
            best = shape.first(by)
            if best is None:
                return None
            unpreferred = len(prefer_tags - shape.tags) if prefer_tags else 0
            return (best[0][0], unpreferred, in_group[shape.group], best[0])

        if order.changed:
            for shape in order.changed:
                shape.listeners.append(order)
                if (key := true_key(shape)) is not None:
                    order.shapes.offer(shape, key)
            order.changed.clear()
        found = order.shapes.first(true_key)
        if found is None:
            return None
        best = found[1].first(by)
        assert best is not None
        return found[1], self._fleet.nodes[best[1]]
