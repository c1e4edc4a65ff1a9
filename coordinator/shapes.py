"""Nodes that no waiting task tells apart, and which of them comes first. Pure.

Five thousand nodes mostly come in a few shapes: the same capabilities, and the same of those tags that any task asks
for. Whether a node could take a class of tasks is decided for its shape; and all classes share the order of its nodes.
"""

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from coordinator.filters import has_bandwidth
from coordinator.lazyheap import Key, LazyHeap
from coordinator.snapshot import NodeFacts, NodeState, Wanted
from coordinator.speeds import Speeds
from coordinator.strategies import Strategy

if TYPE_CHECKING:
    from coordinator.candidates import Candidates, Order

RANKINGS_MAX = 64
"""Of one shape: more are made anew when they are needed."""
SIZE_STEP_BITS = 3
"""Sizes are told apart by factors of 8: a task looks in vain only at nodes whose disk is nearly large enough."""


def size_class(size: int) -> int:
    """Sizes of one class have lower bounds alike; 0 is for unknown ones."""
    return (size.bit_length() + SIZE_STEP_BITS - 1) // SIZE_STEP_BITS


def size_floor(size_class: int) -> int:
    """The smallest size of a class, in bytes."""
    return 0 if size_class == 0 else 1 << (SIZE_STEP_BITS * (size_class - 1))


class By(NamedTuple):
    """What makes one order of nodes differ from another."""

    floor: int
    """Bytes of disk that a node must have left."""
    wanted: Wanted
    """Without tags, unless the strategy looks at them."""
    origin: str


class Shape:
    """Nodes that are alike to all tasks, in several orders."""

    def __init__(
        self, fleet: "Fleet", number: int, tags: frozenset[str], capabilities: frozenset[str], group: str
    ) -> None:
        self.number = number
        """The order in which they came up."""
        self.tags = tags
        """Of those that any task asks for."""
        self.capabilities = capabilities
        self.group = group
        """The value of the strategy's tag."""
        self.nodes: set[str] = set()
        self._fleet = fleet
        self.version = 0
        """Counts whatever may change the order."""
        self._rankings: dict[By, _Ranking] = {}
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
        for ranking in self._rankings.values():
            ranking.changed.add(name)
        for order in self.listeners:
            order.changed.add(self)
        self.listeners.clear()

    def leave(self, name: str) -> None:
        self.nodes.discard(name)
        self.version += 1
        for ranking in self._rankings.values():
            ranking.nodes.drop(name)

    def first(self, by: By) -> tuple[Key, str] | None:
        """The best node that has room, and its key; it stays where it is."""
        ranking = self._rankings.get(by)
        if ranking is None:
            if len(self._rankings) >= RANKINGS_MAX:
                self.forget()
            ranking = self._rankings[by] = _Ranking(set(self.nodes))
        if ranking.version != self.version or ranking.changed:
            ranking.best = self._find_first(ranking, by)
            ranking.version = self.version
        return ranking.best

    def _find_first(self, ranking: "_Ranking", by: By) -> tuple[Key, str] | None:
        nodes, key = self._fleet.nodes, self._fleet.key

        def true_key(name: str) -> Key | None:
            node = nodes[name]
            return key(node, by) if has_room_for(node, by.floor, by.wanted.bandwidth) else None

        if ranking.changed:
            for name in ranking.changed & self.nodes:
                if (found := true_key(name)) is not None:
                    ranking.nodes.offer(name, found)
            ranking.changed.clear()
        return ranking.nodes.first(true_key)

    def pass_over(self, by: By, name: str) -> None:
        """Look at the others, until it is said to have risen."""
        self._rankings[by].nodes.drop(name)
        self.version += 1

    def forget(self) -> None:
        """Keep no order: each is made anew when it is needed."""
        self._rankings.clear()


class _Ranking:
    """Nodes of a shape in one order."""

    __slots__ = ("best", "changed", "nodes", "version")

    def __init__(self, changed: set[str]) -> None:
        self.nodes: LazyHeap[str] = LazyHeap()
        self.changed = changed
        """Those that may be better than they stand here."""
        self.version = -1
        """Of the shape when `best` was found."""
        self.best: tuple[Key, str] | None = None


class Fleet:
    """The nodes as the planner knows them, by their shapes."""

    def __init__(self, strategy: Strategy, speeds: Speeds) -> None:
        self.nodes: dict[str, NodeState] = {}
        self.shapes: dict[tuple[frozenset[str], frozenset[str], str], Shape] = {}
        self.strategy = strategy
        self.speeds = speeds
        self.in_group: Counter[str] = Counter()
        """Tasks at the nodes with each value of the strategy's tag."""
        self.changes = 0
        """Counts nodes that came to a shape or left one."""
        self._made = 0
        """Shapes so far."""
        self._shape_of: dict[str, Shape] = {}
        self._mentioned: set[str] = set()
        """Tags that any task asked for."""

    def __repr__(self) -> str:
        return f"<Fleet {len(self.nodes)} nodes of {len(self.shapes)} shapes, {self.strategy.name}>"

    def shape_of(self, name: str) -> Shape | None:
        """None for a node that takes no tasks."""
        return self._shape_of.get(name)

    def group_of(self, facts: NodeFacts) -> str:
        tag = self.strategy.spread_tag
        return facts.tag_value(tag) if tag else ""

    def mention(self, tags: frozenset[str]) -> list[Shape]:
        """A task asks for these tags; the shapes that are new by that."""
        if tags <= self._mentioned:
            return []
        news = tags - self._mentioned
        self._mentioned |= news
        found = [self.settle(name) for name, node in tuple(self.nodes.items()) if not news.isdisjoint(node.facts.tags)]
        return [shape for shape in dict.fromkeys(found) if shape is not None]

    def settle(self, name: str) -> Shape | None:
        """Find the shape of a node as it is now; None for one that takes no tasks."""
        facts = self.nodes[name].facts
        before = self._shape_of.get(name)
        if facts.excluded:
            self.unsettle(name)
            return None
        key = (facts.tags & self._mentioned, facts.capabilities, self.group_of(facts))
        shape = self.shapes.get(key)
        if shape is None:
            self._made += 1
            shape = self.shapes[key] = Shape(self, self._made, *key)
        if shape is not before:
            self.unsettle(name)
            shape.nodes.add(name)
            self._shape_of[name] = shape
            self.changes += 1
        return shape

    def unsettle(self, name: str) -> None:
        shape = self._shape_of.pop(name, None)
        if shape is not None:
            shape.leave(name)
            self.changes += 1
            if not shape.nodes:
                del self.shapes[shape.tags, shape.capabilities, shape.group]

    def follow(self, strategy: Strategy) -> None:
        """Order nodes otherwise from now on."""
        self.strategy = strategy
        self.in_group.clear()
        self._shape_of.clear()
        self.shapes.clear()
        self.changes += 1
        for name, node in self.nodes.items():
            self.in_group[self.group_of(node.facts)] += node.assigned
            self.settle(name)

    def key(self, node: NodeState, by: By) -> Key:
        """Sorts first what is chosen first: a free slot before a place in line, then the score."""
        facts = node.facts
        return (node.assigned >= facts.slots, *self.strategy.score(node, by.wanted, by.origin), facts.node)


def has_room_for(node: NodeState, floor: int, bandwidth: int) -> bool:
    """Whether a node has a slot or a place in line, disk, and line left."""
    facts = node.facts
    return (
        facts.limit > node.assigned
        and node.disk_left - floor >= facts.disk_low
        and (not bandwidth or has_bandwidth(node, Wanted("", bandwidth=bandwidth), 0) is None)
    )
