"""What is kept for a task that waits for several things which others never leave free at once. Pure.

A task of two origins that each allow one, or one that asks for a whole line, finds a part taken whenever another part
comes free, and no priority helps it. So a unit of each thing that it needs is kept for the oldest such task.
"""

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from coordinator.cells import Waiting
from coordinator.circles import Circle
from coordinator.filters import CLASS_FILTERS, fits_disk
from coordinator.origins import Origins
from coordinator.pending import Pending
from coordinator.shapes import Shape
from coordinator.snapshot import NodeState

CLAIM_EVERY = 128
"""Placements between two claims: what is kept idles for as long as the rest takes to come free."""
LOOKS_MAX = 16
"""Of the oldest tasks, as many are tried for a node that could have them: each may cost a look at every node."""


class Claim(Struct, frozen=True):
    """One place less for others with each of its origins and its owner, and a part of one node's line."""

    task: str
    sequence: int
    """Of the row it was made from: a task that changed has to claim anew."""
    owner: str
    origins: tuple[str, ...]
    node: str
    """That could have it, were it not for what it waits for."""
    bandwidth: int
    """Bytes a second of that node's line."""


def find_claim(
    pending: Pending,
    origins: Origins,
    nodes: dict[str, NodeState],
    able: Callable[[Circle], Iterable[Shape]],
) -> Claim | None:
    """For the oldest task of an origin with a limit, or that asks for bandwidth, that can't be placed for now."""
    for waiting in sorted(_held_up(pending, origins))[:LOOKS_MAX]:
        cell = waiting.cell
        wanted = cell.kind.wanted
        found = [nodes[name] for shape in able(cell.candidates.circle) for name in shape.nodes]
        fits = [node for node in found if _could_have(node, waiting)]
        if fits:
            node = min(fits, key=_most_line_left).node
            return Claim(waiting.task, waiting.sequence, cell.owner.name, waiting.origins, node, wanted.bandwidth)
    return None


def still_holds(claim: Claim, waiting: Waiting, origins: Origins, node: NodeState | None) -> bool:
    """Whether its task is what it was, and waits for nothing but what is kept for it."""
    if waiting.sequence != claim.sequence or node is None or _cools(origins, waiting):
        return False
    return _could_have(node, waiting)


def _cools(origins: Origins, waiting: Waiting) -> bool:
    return any(origins.cooling_until(origin) is not None for origin in waiting.origins)


def _held_up(pending: Pending, origins: Origins) -> Iterator[Waiting]:
    """The oldest of each cell that waits behind a gate, or for its owner's limit."""
    for cell in pending.cells():
        if not cell.is_parked and not pending.is_held(cell.owner.name):
            continue
        if cell.kind.origins or cell.kind.wanted.bandwidth:
            oldest = pending.oldest_of(cell)
            if oldest is not None and not _cools(origins, oldest):
                yield oldest


def _could_have(node: NodeState, waiting: Waiting) -> bool:
    wanted = waiting.cell.kind.wanted
    return fits_disk(node, waiting.size) and all(check(node, wanted, waiting.size) is None for check in CLASS_FILTERS)


def _most_line_left(node: NodeState) -> tuple[float, str]:
    facts = node.facts
    return (node.bandwidth_used - facts.bandwidth if facts.bandwidth else -float("inf"), facts.node)
