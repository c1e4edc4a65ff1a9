"""Why a node can't take a task: small pure functions, each a reason or None."""

from collections.abc import Callable

from coordinator.snapshot import NodeState, Waiting
from schemas.settings import NodeSettings
from schemas.sizes import format_size

DISK_LOW_BYTES = NodeSettings().disk_low
"""The low mark of a node of a version that does not tell its own."""

Filter = Callable[[NodeState, Waiting], str | None]


def has_tags(node: NodeState, task: Waiting) -> str | None:
    missing = task.tags - node.tags
    return f"lacks the tag {', '.join(sorted(missing))}" if missing else None


def is_capable(node: NodeState, task: Waiting) -> str | None:
    return None if task.capability in node.capabilities else f"can't do {task.capability}"


def has_room(node: NodeState, task: Waiting) -> str | None:
    return None if node.room > 0 else f"all {node.slots} slots are taken"


def has_disk(node: NodeState, task: Waiting) -> str | None:
    """Room for what the task is known to need, above the low mark."""
    if node.disk_free_bytes - task.size >= node.disk_low_bytes:
        return None
    free, kept = format_size(max(0, node.disk_free_bytes)), format_size(node.disk_low_bytes)
    asked = f"for a file of {format_size(task.size)}, " if task.size else ""
    return f"has only {free} of disk left {asked}of which {kept} stay free"


def takes_tasks(node: NodeState, task: Waiting) -> str | None:
    return node.trouble or None


CLASS_FILTERS: tuple[Filter, ...] = (takes_tasks, has_tags, is_capable)
"""Depend on a task's class at most."""
NODE_FILTERS: tuple[Filter, ...] = (has_room, has_disk)
"""Change with every placement."""
