"""What a placing decision looks at: plain values, taken at one moment."""

from typing import NamedTuple

from msgspec import Struct


class NodeState(Struct, frozen=True):
    """A node that was heard lately."""

    node: str
    instance: str
    slots: int
    room: int
    """Tasks it may be given now: slots and prefetch, less what stands there or is reserved."""
    assigned: int
    """Tasks that stand there or are reserved."""
    tags: frozenset[str]
    capabilities: frozenset[str]
    disk_free_bytes: int
    """Less what is promised to the tasks it has."""
    disk_low_bytes: int
    """Never filled beyond by plan."""
    trouble: str
    """Why it takes no tasks; empty where it does."""


class Waiting(NamedTuple):
    """A task that could be placed; in the order of placing."""

    rank: tuple[int, float, str]
    """(-priority, submitted, task): sorts first what goes first."""
    task: str
    sequence: int
    tags: frozenset[str]
    capability: str
    size: int
    """Bytes it will need; 0 while unknown."""
    avoid: tuple[str, ...]


class Placement(NamedTuple):
    task: str
    sequence: int
    """Of the row the decision was made on."""
    node: str
    instance: str
    why: str
