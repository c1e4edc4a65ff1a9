"""What a placing decision looks at: plain values, taken at one moment."""

from msgspec import Struct


class NodeFacts(Struct, frozen=True, kw_only=True):
    """A node that is there, as it was heard last and as is decided about it."""

    node: str
    instance: str
    slots: int
    limit: int
    """Tasks it may hold: its slots and a few that wait there."""
    tags: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()
    disk_left: int = 0
    """Bytes free, less what is promised to the tasks it has."""
    disk_low: int = 0
    """Never filled beyond by plan."""
    disk_capacity: int = 0
    """Bytes its downloads may take in all; 0 where nobody said."""
    bandwidth: int = 0
    """Bytes a second its line has; 0 where nobody said."""
    excluded: str = ""
    """Why it takes no tasks, whatever they are; empty where it does."""

    def tag_value(self, name: str) -> str:
        """The value of its tag `name=value`; empty where it has none."""
        prefix = f"{name}="
        return min((tag[len(prefix) :] for tag in self.tags if tag.startswith(prefix)), default="")


class NodeState(Struct, frozen=True, gc=False):
    """A node with what stands there or is reserved."""

    facts: NodeFacts
    assigned: int
    """Tasks."""
    disk_left: int
    """Bytes: as heard, less what was reserved since."""
    bandwidth_used: int
    """Bytes a second that its tasks asked for."""
    turn: int
    """When it was last given a task: the number of that placement."""

    @property
    def node(self) -> str:
        return self.facts.node

    @property
    def slots(self) -> int:
        return self.facts.slots

    @property
    def room(self) -> int:
        """Tasks it may be given now."""
        return self.facts.limit - self.assigned

    @property
    def is_busy(self) -> bool:
        """What it is given now waits there for a slot."""
        return self.assigned >= self.facts.slots


class Wanted(Struct, frozen=True, cache_hash=True):
    """What a task wants of a node, the same for all tasks of a class."""

    capability: str
    tags: frozenset[str] = frozenset()
    avoid_tags: frozenset[str] = frozenset()
    prefer_tags: frozenset[str] = frozenset()
    bandwidth: int = 0
    """Bytes a second."""


class Task(Struct, frozen=True, kw_only=True):
    """A task that could be placed now."""

    task: str
    owner: str
    priority: int
    order: int
    """Among equals the lowest goes first."""
    sequence: int
    """Of the row it was made from."""
    wanted: Wanted
    size: int = 0
    """Bytes it will need; 0 while unknown."""
    origins: tuple[str, ...] = ()
    """`host:port` of each of its addresses."""
    avoid: tuple[str, ...] = ()
    """Nodes on which it failed."""


class Stand(Struct, frozen=True, gc=False):
    """What a task takes up while it stands at a node or is on its way there."""

    node: str
    owner: str
    origins: tuple[str, ...]
    bandwidth: int


class Placement(Struct, frozen=True, gc=False):
    task: str
    sequence: int
    """Of the row the decision was made on."""
    node: str
    instance: str
    why: str
    limited: bool = False
    """An origin of it has a limit on what runs at once."""
