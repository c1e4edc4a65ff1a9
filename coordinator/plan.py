"""Filter → score → reserve: which waiting task goes to which node. Pure; equal inputs, equal plan."""

import heapq
from collections.abc import Sequence

from msgspec.structs import replace

from coordinator.filters import CLASS_FILTERS, NODE_FILTERS
from coordinator.pending import Pending, TaskClass
from coordinator.snapshot import NodeState, Placement, Waiting
from coordinator.strategies import Strategy, least_loaded


def plan(
    pending: Pending, nodes: Sequence[NodeState], *, limit: int, strategy: Strategy = least_loaded
) -> list[Placement]:
    """Take up to `limit` tasks out of `pending` and say where each goes.

    The order is that of `Waiting.rank` over all classes. A class whose first task finds no node is skipped
    for the rest of this plan.
    """
    states = {node.node: node for node in nodes}
    heads = [(head.rank, kind) for kind in pending.classes() if (head := pending.head(kind))]
    heapq.heapify(heads)
    able: dict[TaskClass, list[str]] = {}
    placements: list[Placement] = []
    while heads and len(placements) < limit:
        _, kind = heapq.heappop(heads)
        task = pending.head(kind)
        if task is None:
            continue
        if kind not in able:
            able[kind] = [node.node for node in nodes if all(f(node, task) is None for f in CLASS_FILTERS)]
        chosen = _choose([states[node] for node in able[kind]], task, strategy)
        if chosen is None:
            continue
        states[chosen.node] = _reserve(chosen, task)
        pending.take(task)
        why = f"least loaded of {len(able[kind])} able nodes: {chosen.assigned} of {chosen.slots} slots in use"
        placements.append(Placement(task.task, task.sequence, chosen.node, chosen.instance, why))
        if (following := pending.head(kind)) is not None:
            heapq.heappush(heads, (following.rank, kind))
    return placements


def _choose(nodes: Sequence[NodeState], task: Waiting, strategy: Strategy) -> NodeState | None:
    free = [node for node in nodes if all(check(node, task) is None for check in NODE_FILTERS)]
    return min(free, key=lambda node: (strategy(node, task), node.node), default=None)


def _reserve(node: NodeState, task: Waiting) -> NodeState:
    return replace(
        node,
        room=node.room - 1,
        assigned=node.assigned + 1,
        disk_free_bytes=node.disk_free_bytes - task.size,
    )
