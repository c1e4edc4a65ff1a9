"""The nodes that could take what a class of tasks wants, if they had room. Pure."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from coordinator.candidates import Candidates
from coordinator.orders import Order
from coordinator.roster import Roster
from coordinator.shapes import By, Shape
from coordinator.snapshot import NodeState, Wanted

ORIGINS_MAX = 64
"""Of one circle: nodes are not told apart by more origins than these."""
BUILT_MAX = 256
"""Circles whose nodes are kept in order; of more, those least lately used are made anew when their turn comes."""
_NOTHING = Wanted("")


@lru_cache(maxsize=1024)
def _loosest_by(seen: Wanted, origin: str) -> By:
    """One object for all circles: they look each other's rankings up by it, and equality costs more than identity."""
    return By(seen, origin)


@lru_cache(maxsize=4096)
def _why(says: str, able: int, assigned: int, slots: int) -> str:
    among = "the only node that can" if able == 1 else f"{says} of {able} nodes that can"
    if assigned >= slots:
        return f"{among}: its {slots} slots are in use, this waits next in line"
    return f"{among}: {assigned} of {slots} slots in use"


class Circle:
    """The nodes for one class of tasks, in the orders that were asked for."""

    def __init__(self, roster: Roster, wanted: Wanted) -> None:
        self.wanted = wanted
        self.sizes: dict[int, Candidates] = {}
        """By size class."""
        self.is_built = False
        self.able: set[Shape] = set()
        self._roster = roster
        self._orders: dict[By, Order] = {}
        self._loosest: dict[str, Order] = {}
        """By origin: of all that have room for the smallest task."""
        self._count = 0
        self._counted_at = -1

    def __repr__(self) -> str:
        return f"<Circle of {self.count} nodes for {self.wanted}>"

    @property
    def count(self) -> int:
        """Nodes that could take such tasks if they had room."""
        if self._counted_at != self._roster.changes:
            self.able = {shape for shape in self.able if shape.nodes}
            self._count = sum(len(shape.nodes) for shape in self.able)
            self._counted_at = self._roster.changes
        return self._count

    def of_size(self, size_class: int) -> Candidates:
        found = self.sizes.get(size_class)
        if found is None:
            found = self.sizes[size_class] = Candidates(self, size_class)
        return found

    def why(self, node: NodeState) -> str:
        """Why a node was chosen among these."""
        return _why(self._roster.strategy.says, self.count, node.assigned, node.slots)

    def build(self) -> None:
        """Look at every shape anew."""
        self.able = {shape for shape in self._roster.shapes.values() if self._is_able(shape)}
        self._counted_at = -1
        self.is_built = True

    def forget(self) -> None:
        """Keep nothing that `build` finds out again."""
        for candidates in self.sizes.values():
            candidates.unwatch_all()
        self.able.clear()
        self._orders.clear()
        self._loosest.clear()
        self.is_built = False

    def consider(self, shape: Shape) -> None:
        """A shape may be new."""
        if shape not in self.able and self._is_able(shape):
            self.able.add(shape)
            self._counted_at = -1
            for order in self._orders.values():
                order.changed.add(shape)
            for candidates in self.sizes.values():
                candidates.consider(shape)

    def group_fell(self, group: str) -> None:
        """The nodes with a value of the strategy's tag have one task less."""
        for order in self._orders.values():
            order.changed.update(shape for shape in self.able if shape.group == group)

    def loosest(self, origins: tuple[str, ...]) -> Order:
        """In which those come that have room for the smallest task of these origins."""
        origin = self._origin_of(origins)
        order = self._loosest.get(origin)
        if order is None:
            seen = self.wanted if self._roster.strategy.by_wanted else _NOTHING
            order = self._loosest[origin] = self.order(_loosest_by(seen, origin))
        return order

    def order(self, by: By) -> Order:
        found = self._orders.get(by)
        if found is None:
            found = self._orders[by] = Order(self._roster, self.wanted.prefer_tags, by, set(self.able))
        return found

    def _origin_of(self, origins: tuple[str, ...]) -> str:
        """The origin by which scores for a task differ; empty where they don't."""
        if not self._roster.strategy.by_origin or not origins or not self._roster.speeds.knows(origins[0]):
            return ""
        return origins[0] if origins[0] in self._loosest or len(self._loosest) < ORIGINS_MAX else ""

    def _is_able(self, shape: Shape) -> bool:
        wanted = self.wanted
        return (
            wanted.tags <= shape.tags
            and wanted.avoid_tags.isdisjoint(shape.tags)
            and wanted.capability in shape.capabilities
        )


class Circles:
    """The circles of all classes in which tasks wait."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._circles: dict[Wanted, Circle] = {}
        self._built: dict[Circle, None] = {}
        """In the order of their use."""

    def __repr__(self) -> str:
        return f"<Circles {len(self._circles)}, {len(self._built)} built>"

    def __iter__(self) -> Iterator[Circle]:
        """Those whose nodes are kept in order: others are not told of changes."""
        return iter(self._built)

    def of(self, wanted: Wanted) -> Circle:
        """The circle of what is wanted, new where nobody wanted it before."""
        found = self._circles.get(wanted)
        if found is None:
            for shape in self._roster.mention(wanted.tags | wanted.avoid_tags | wanted.prefer_tags):
                self.consider(shape)
            found = self._circles[wanted] = Circle(self._roster, wanted)
        return found

    def consider(self, shape: Shape) -> None:
        """A shape may be new."""
        for circle in self._built:
            circle.consider(shape)

    def use(self, circle: Circle) -> Circle | None:
        """Have its nodes in order. Where these are too many, the one least lately used: it has to be forgotten."""
        if circle.is_built:
            del self._built[circle]
            self._built[circle] = None
            return None
        circle.build()
        self._built[circle] = None
        return next(iter(self._built)) if len(self._built) > BUILT_MAX else None

    def forget(self, circle: Circle) -> None:
        """Nobody tells it of changes from now on."""
        del self._built[circle]
        circle.forget()

    def is_crowded(self) -> bool:
        """Whether it is time to `keep` only those in which tasks wait."""
        count = len(self._circles)
        return count >= 2 * BUILT_MAX and count & (count - 1) == 0

    def keep(self, used: Iterable[Wanted]) -> None:
        """Drop the circles of all other classes."""
        kept = set(used)
        for wanted, circle in tuple(self._circles.items()):
            if wanted not in kept:
                self._built.pop(circle, None)
                del self._circles[wanted]
