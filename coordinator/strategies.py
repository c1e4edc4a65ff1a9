"""Which of the nodes that could take a task should: small pure scorers. The lowest score wins."""

from collections.abc import Callable

from coordinator.snapshot import NodeState, Waiting

Score = tuple[float, ...]
Strategy = Callable[[NodeState, Waiting], Score]


def least_loaded(node: NodeState, task: Waiting) -> Score:
    """The smallest share of slots in use; nodes the task failed on come last, the larger node first on a tie."""
    return (node.node in task.avoid, node.assigned / node.slots, -node.slots)
