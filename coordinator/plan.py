"""Filter → score → reserve: which waiting task goes to which node. Pure; equal inputs, equal plan."""

import heapq
import math
from collections.abc import Sequence

from msgspec.structs import replace

from coordinator.filters import CLASS_FILTERS, NODE_FILTERS, has_room
from coordinator.pending import Pending, TaskClass
from coordinator.snapshot import NodeState, Placement, Waiting
from coordinator.strategies import Strategy, least_loaded


def plan(
    pending: Pending, nodes: Sequence[NodeState], *, limit: int, strategy: Strategy = least_loaded
) -> list[Placement]:
    """Take up to `limit` tasks out of `pending` and say where each goes.

    The order is that of `Waiting.rank` over all classes. A class without room is skipped for the rest of this
    plan; a task that is only too large for the disks is passed over, and smaller ones of its class go on.
    """
    states = {node.node: node for node in nodes}
    heads = [(head.rank, kind) for kind in pending.classes() if (head := pending.head(kind))]
    heapq.heapify(heads)
    able: dict[TaskClass, list[str]] = {}
    placements: list[Placement] = []
    too_large: list[Waiting] = []
    refused_size: dict[TaskClass, int] = {}
    while heads and len(placements) < limit:
        _, kind = heapq.heappop(heads)
        task = pending.head(kind)
        if task is None:
            continue
        if kind not in able:
            able[kind] = [node.node for node in nodes if all(f(node, task) is None for f in CLASS_FILTERS)]
        refused = task.size >= refused_size.get(kind, math.inf)
        chosen = None if refused else _choose([states[node] for node in able[kind]], task, strategy)
        if chosen is not None:
            states[chosen.node] = _reserve(chosen, task)
            why = _why(chosen, len(able[kind]))
            placements.append(Placement(task.task, task.sequence, chosen.node, chosen.instance, why))
        elif refused or (task.size and any(has_room(states[node], task) is None for node in able[kind])):
            refused_size[kind] = min(task.size, refused_size.get(kind, task.size))
            too_large.append(task)
        else:
            continue
        pending.take(task)
        if (following := pending.head(kind)) is not None:
            heapq.heappush(heads, (following.rank, kind))
    for task in too_large:
        pending.add(task)
    return placements


def _choose(nodes: Sequence[NodeState], task: Waiting, strategy: Strategy) -> NodeState | None:
    free = [node for node in nodes if all(check(node, task) is None for check in NODE_FILTERS)]
    return min(free, key=lambda node: (strategy(node, task), node.node), default=None)


def _why(node: NodeState, able: int) -> str:
    among = "the only node that can" if able == 1 else f"the least loaded of {able} nodes that can"
    if node.assigned < node.slots:
        return f"{among}: {node.assigned} of {node.slots} slots in use"
    return f"{among}: its {node.slots} slots are in use, this waits next in line"


def _reserve(node: NodeState, task: Waiting) -> NodeState:
    return replace(
        node,
        room=node.room - 1,
        assigned=node.assigned + 1,
        disk_free_bytes=node.disk_free_bytes - task.size,
    )
