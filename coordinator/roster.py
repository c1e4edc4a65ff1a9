"""All nodes, each in its shape. Pure."""

from collections import Counter

from coordinator.lazyheap import Key
from coordinator.shapes import By, Shape
from coordinator.snapshot import NodeFacts, NodeState
from coordinator.speeds import Speeds
from coordinator.strategies import Strategy


class Roster:
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
        return f"<Roster {len(self.nodes)} nodes of {len(self.shapes)} shapes, {self.strategy.name}>"

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
