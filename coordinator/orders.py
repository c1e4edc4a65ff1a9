"""The shapes that could take a class of tasks, by the best node of each. Pure.

A few shapes are all looked at for each choice. Of many a heap tells the best: being given a task makes a node's score
worse with most strategies, and nothing is done about it until the node comes to the top; what makes a score better is
told to each order that has looked at the node's shape since.
"""

from coordinator.lazyheap import Key, LazyHeap
from coordinator.roster import Roster
from coordinator.shapes import By, Ranking, Shape
from coordinator.snapshot import NodeState

SCANNED_MAX = 64
"""Shapes that are all looked at: what each placement makes stale in a heap of so few costs more."""


class Order:
    """The shapes of a circle by their best nodes."""

    def __init__(self, roster: Roster, prefer_tags: frozenset[str], by: By, changed: set[Shape]) -> None:
        self.by = by
        self.changed = changed
        """Those that are new, or may be better than they stand here."""
        self._roster = roster
        self._prefer_tags = prefer_tags
        self._is_by_group = bool(roster.strategy.spread_tag)
        self._few: Few | None = Few(by, roster)
        """While there are few."""
        self._many: dict[Shape, tuple[Ranking, int]] = {}
        """Once there are many: the ranking of each, and how many of the preferred tags it lacks."""
        self._heap: LazyHeap[Shape] = LazyHeap()

    def __repr__(self) -> str:
        return f"<Order of {len(self._many if self._few is None else self._few.shapes)} shapes by {self.by}>"

    def first(self) -> tuple[Shape, NodeState] | None:
        """The best node with room, and its shape; it stays where it is."""
        if self.changed:
            self._heed()
        if self._few is not None:
            return self._few.first()
        key = self._heap.first(self._key)
        return None if key is None else (key[-1], self._roster.nodes[key[-2]])

    def _heed(self) -> None:
        """Take in what is new or may be better."""
        if self._few is not None:
            for shape in self.changed:
                self._few.take(shape, len(self._prefer_tags - shape.tags))
            if len(self._few.shapes) <= SCANNED_MAX:
                self.changed.clear()
                return
            self.changed.update(shape for shape in self._few.shapes if shape.nodes)
            self._few = None
        for shape in self.changed:
            shape.listeners.append(self)
            if (key := self._key(shape)) is not None:
                self._heap.offer(key)
        self.changed.clear()

    def _key(self, shape: Shape) -> Key | None:
        """A free slot first, then what is preferred, then where the group has least, then the best node's own key."""
        known = self._many.get(shape)
        if known is None or known[0].version != shape.version:
            known = self._many[shape] = (shape.ranked(self.by), len(self._prefer_tags - shape.tags))
        ranking, unpreferred = known
        best = ranking.best
        if best is None:
            del self._many[shape]
            return None
        if self._is_by_group:  # which changes with any node of the group
            return (best[0], unpreferred, self._roster.in_group[shape.group], *best[1:], shape)
        key = ranking.keys.get(unpreferred)
        if key is None:
            key = ranking.keys[unpreferred] = (best[0], unpreferred, *best[1:], shape)
        return key


class Few:
    """Shapes that are all looked at; their order is as `Order` has it."""

    def __init__(self, by: By, roster: Roster) -> None:
        self.shapes: set[Shape] = set()
        self._by = by
        self._roster = roster
        self._is_by_group = bool(roster.strategy.spread_tag)
        self._sets: dict[int, dict[Shape, Ranking]] = {}
        """By how many of the preferred tags they lack, the fewest first."""

    def __repr__(self) -> str:
        return f"<Few: {len(self.shapes)} shapes>"

    def take(self, shape: Shape, unpreferred: int) -> None:
        if shape not in self.shapes:
            self.shapes.add(shape)
            self._sets.setdefault(unpreferred, {})[shape] = shape.ranked(self._by)
            self._sets = dict(sorted(self._sets.items()))

    def first(self) -> tuple[Shape, NodeState] | None:
        """As `Order.first`."""
        waits: tuple[Shape, NodeState] | None = None
        for alike in self._sets.values():
            found = self._least(alike)
            if found is None:
                continue
            best, shape = found
            chosen = shape, self._roster.nodes[best[-1]]
            if not best[0]:
                return chosen
            waits = waits or chosen
        return waits

    def _least(self, alike: dict[Shape, Ranking]) -> tuple[Key, Shape] | None:
        """The smallest key among shapes that are preferred alike."""
        least: Key | None = None
        its: Shape | None = None
        for shape, ranking in alike.items():
            if ranking.version != shape.version:
                ranking = alike[shape] = shape.ranked(self._by)
            best = ranking.best
            if best is None:
                continue
            if self._is_by_group:
                best = (best[0], self._roster.in_group[shape.group], *best[1:])
            if least is None or best < least:
                least, its = best, shape
        return None if least is None or its is None else (least, its)
