"""Nodes that no waiting task tells apart, and which of them comes first. Pure.

Five thousand nodes mostly come in a few shapes: the same capabilities, and the same of those tags that any task asks
for. Whether a node could take a class of tasks is decided for its shape; and all classes share the order of its nodes.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

from coordinator.filters import fits_line
from coordinator.lazyheap import Key, LazyHeap
from coordinator.snapshot import NodeState, Wanted

if TYPE_CHECKING:
    from coordinator.candidates import Candidates
    from coordinator.orders import Order
    from coordinator.roster import Roster

RANKINGS_MAX = 64
"""Of one shape: more are made anew when they are needed."""

NEVER = -1
"""A version that no shape has."""


class By(Struct, frozen=True, cache_hash=True):
    """What makes one order of nodes differ from another."""

    wanted: Wanted
    """As far as the strategy looks at it."""
    origin: str
    """By which scores differ; empty where they don't."""
    floor: int = 0
    """Bytes of disk that a node must have left above its low mark."""
    bandwidth: int = 0
    """Bytes a second of its line that a node must have left."""

    def has_room(self, node: NodeState) -> bool:
        """Whether a node has a slot or a place in line, disk, and line left."""
        facts = node.facts
        return (
            facts.limit > node.assigned
            and node.disk_left - self.floor >= facts.disk_low
            and (not self.bandwidth or fits_line(node, self.bandwidth))
        )


class Shape:
    """Nodes that are alike to all tasks, in several orders."""

    def __init__(
        self, roster: "Roster", number: int, tags: frozenset[str], capabilities: frozenset[str], group: str
    ) -> None:
        self.number = number
        """The order in which they came up."""
        self.tags = tags
        """Of those that any task asks for."""
        self.capabilities = capabilities
        self.group = group
        """The value of the strategy's tag."""
        self.nodes: set[str] = set()
        self._roster = roster
        self.version = 0
        """Counts whatever may change the order."""
        self.rankings: dict[By, Ranking] = {}
        self.listeners: list[Order] = []
        """Orders of shapes that have this one's best: told once when that may have become better."""
        self.watchers: set[Candidates] = set()
        """Classes that wait for a node with more room."""

    def __lt__(self, other: "Shape") -> bool:
        """In a heap two have one key for a while where a node went from one to the other and stands as it stood."""
        return self.number < other.number

    def __repr__(self) -> str:
        return f"<Shape of {len(self.nodes)} nodes>"

    def rose(self, name: str) -> None:
        """A node's scores may have become better."""
        self.version += 1
        for ranking in self.rankings.values():
            ranking.changed.add(name)
        for order in self.listeners:
            order.changed.add(self)
        self.listeners.clear()

    def leave(self, name: str) -> None:
        self.nodes.discard(name)
        self.version += 1
        for ranking in self.rankings.values():
            ranking.nodes.drop(name)

    def ranked(self, by: By) -> "Ranking":
        """Its nodes in an order, of which the best with room is known. The ranking counts until its version differs."""
        ranking = self.rankings.get(by)
        if ranking is None:
            if len(self.rankings) >= RANKINGS_MAX:
                self.forget()
            ranking = self.rankings[by] = Ranking(set(self.nodes))
        if ranking.version != self.version:
            ranking.best = self._find_first(ranking, by)
            ranking.keys.clear()
            ranking.version = self.version
        return ranking

    def _find_first(self, ranking: "Ranking", by: By) -> Key | None:
        """The key of the best node that has room; it stays where it is."""
        nodes, key = self._roster.nodes, self._roster.key

        def true_key(name: str) -> Key | None:
            node = nodes[name]
            return key(node, by) if by.has_room(node) else None

        if ranking.changed:
            for name in ranking.changed & self.nodes:
                if (found := true_key(name)) is not None:
                    ranking.nodes.offer(found)
            ranking.changed.clear()
        return ranking.nodes.first(true_key)

    def pass_over(self, by: By, name: str) -> None:
        """Look at the others, until it is said to have risen."""
        self.rankings[by].nodes.drop(name)
        self.version += 1

    def forget(self) -> None:
        """Keep no order: each is made anew when it is needed."""
        for ranking in self.rankings.values():
            ranking.version = NEVER
        self.rankings.clear()


class Ranking:
    """Nodes of a shape in one order."""

    __slots__ = ("best", "changed", "keys", "nodes", "version")

    def __init__(self, changed: set[str]) -> None:
        self.nodes: LazyHeap[str] = LazyHeap()
        self.changed = changed
        """Those that may be better than they stand here."""
        self.version = NEVER
        """Of the shape when `best` was found."""
        self.best: Key | None = None
        self.keys: dict[int, Key] = {}
        """The shape's own key by that node, as far as orders made it, by the preferred tags that it lacks."""
