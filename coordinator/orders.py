"""The shapes that could take a class of tasks, by the best node of each. Pure.

Being given a task makes a node's score worse with most strategies, and nothing is done about it until the node comes to
the top. What makes a score better is told to each order that has looked at the node's shape since.
"""

from coordinator.lazyheap import Key, LazyHeap
from coordinator.roster import Roster
from coordinator.shapes import By, Ranking, Shape
from coordinator.snapshot import NodeState


class Order:
    """The shapes of a circle by their best nodes."""

    def __init__(self, roster: Roster, prefer_tags: frozenset[str], by: By, changed: set[Shape]) -> None:
        self.by = by
        self.changed = changed
        """Those that may be better than they stand here."""
        self._roster = roster
        self._prefer_tags = prefer_tags
        self._is_by_group = bool(roster.strategy.spread_tag)
        self._known: dict[Shape, tuple[Ranking, int]] = {}
        """The ranking of each shape, and how many of the preferred tags it lacks."""
        self._shapes: LazyHeap[Shape] = LazyHeap()

    def __repr__(self) -> str:
        return f"<Order of {len(self._shapes)} shapes by {self.by}>"

    def first(self) -> tuple[Shape, NodeState] | None:
        """The best node with room, and its shape; it stays where it is."""
        if self.changed:
            for shape in self.changed:
                shape.listeners.append(self)
                if (key := self._key(shape)) is not None:
                    self._shapes.offer(key)
            self.changed.clear()
        key = self._shapes.first(self._key)
        return None if key is None else (key[-1], self._roster.nodes[key[-2]])

    def _key(self, shape: Shape) -> Key | None:
        """A free slot first, then what is preferred, then where the group has least, then the best node's own key."""
        known = self._known.get(shape)
        if known is None or known[0].version != shape.version:
            known = self._known[shape] = (shape.ranked(self.by), len(self._prefer_tags - shape.tags))
        ranking, unpreferred = known
        best = ranking.best
        if best is None:
            del self._known[shape]
            return None
        if self._is_by_group:
            return (best[0], unpreferred, self._roster.in_group[shape.group], *best[1:], shape)
        key = ranking.keys.get(unpreferred)
        if key is None:
            key = ranking.keys[unpreferred] = (best[0], unpreferred, *best[1:], shape)
        return key
