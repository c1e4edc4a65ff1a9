"""The shapes that could take a class of tasks, by the best node of each. Pure.

A few shapes are all looked at for each choice. Of many a heap tells the best: being given a task makes a node's score
worse with most strategies, and nothing is done about it until the node comes to the top; what makes a score better is
told to each order that has looked at the node's shape since.
"""

from coordinator.lazyheap import Key, LazyHeap
from coordinator.roster import Roster
from coordinator.shapes import NEVER, By, Ranking, Shape
from coordinator.snapshot import NodeState

SCANNED_MAX = 64
"""Shapes that are all looked at: what each placement makes stale in a heap of so few costs more."""


class Seen:
    """A shape as an order saw it last."""

    __slots__ = ("key", "shape", "unpreferred", "version")

    def __init__(self, shape: Shape, unpreferred: int) -> None:
        self.shape = shape
        self.unpreferred = unpreferred
        """How many of the preferred tags it lacks."""
        self.version = NEVER
        self.key: Key | None = None


class Order:
    """The shapes of a circle by their best nodes."""

    def __init__(self, roster: Roster, prefer_tags: frozenset[str], by: By, changed: set[Shape]) -> None:
        self.by = by
        self.changed = changed
        """Those that are new, or may be better than they stand here."""
        self._roster = roster
        self._prefer_tags = prefer_tags
        self._is_by_group = bool(roster.strategy.spread_tag)
        self._few: dict[Shape, Seen] | None = {}
        """While there are few."""
        self._many: dict[Shape, tuple[Ranking, int]] = {}
        """Once there are many: the ranking of each, and how many of the preferred tags it lacks."""
        self._heap: LazyHeap[Shape] = LazyHeap()

    def __repr__(self) -> str:
        return f"<Order of {len(self._many if self._few is None else self._few)} shapes by {self.by}>"

    def first(self) -> tuple[Shape, NodeState] | None:
        """The best node with room, and its shape; it stays where it is."""
        if self.changed:
            self._heed()
        key = self._heap.first(self._key) if self._few is None else self._scan(self._few)
        return None if key is None else (key[-1], self._roster.nodes[key[-2]])

    def _heed(self) -> None:
        """Take in what is new or may be better."""
        if self._few is not None:
            for shape in self.changed:
                self._few[shape] = Seen(shape, len(self._prefer_tags - shape.tags))
            if len(self._few) <= SCANNED_MAX:
                self.changed.clear()
                return
            self.changed.update(shape for shape in self._few if shape.nodes)
            self._few = None
        for shape in self.changed:
            shape.listeners.append(self)
            if (key := self._key(shape)) is not None:
                self._heap.offer(key)
        self.changed.clear()

    def _scan(self, few: dict[Shape, Seen]) -> Key | None:
        """The smallest key of all."""
        found: Key | None = None
        for seen in few.values():
            if seen.version != seen.shape.version or self._is_by_group:
                self._look(seen)
            key = seen.key
            if key is not None and (found is None or key < found):
                found = key
        return found

    def _look(self, seen: Seen) -> None:
        shape = seen.shape
        ranking = shape.ranked(self.by)
        seen.version = shape.version
        seen.key = None if ranking.best is None else self._key_in(ranking, shape, seen.unpreferred)

    def _key(self, shape: Shape) -> Key | None:
        known = self._many.get(shape)
        if known is None or known[0].version != shape.version:
            known = self._many[shape] = (shape.ranked(self.by), len(self._prefer_tags - shape.tags))
        ranking, unpreferred = known
        if ranking.best is None:
            del self._many[shape]
            return None
        return self._key_in(ranking, shape, unpreferred)

    def _key_in(self, ranking: Ranking, shape: Shape, unpreferred: int) -> Key:
        """A free slot first, then what is preferred, then where the group has least, then the best node's own key."""
        best = ranking.best
        assert best is not None
        if self._is_by_group:  # which changes with any node of the group
            return (best[0], unpreferred, self._roster.in_group[shape.group], *best[1:], shape)
        key = ranking.keys.get(unpreferred)
        if key is None:
            key = ranking.keys[unpreferred] = (best[0], unpreferred, *best[1:], shape)
        return key
