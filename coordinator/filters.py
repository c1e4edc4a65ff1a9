"""Why a node can't take a task: small pure functions, each a reason or None."""

from collections.abc import Callable

from coordinator.snapshot import NodeState, Waiting

DISK_RESERVE_BYTES = 64 << 20
"""Never filled by plan: logs, state and the file system itself need room."""

Filter = Callable[[NodeState, Waiting], str | None]


def has_tags(node: NodeState, task: Waiting) -> str | None:
    missing = task.tags - node.tags
    return f"lacks the tag {', '.join(sorted(missing))}" if missing else None


def is_capable(node: NodeState, task: Waiting) -> str | None:
    return None if task.capability in node.capabilities else f"can't do {task.capability}"


def has_room(node: NodeState, task: Waiting) -> str | None:
    return None if node.room > 0 else f"all {node.slots} slots are taken"


def has_disk(node: NodeState, task: Waiting) -> str | None:
    if node.disk_free_bytes - task.size >= DISK_RESERVE_BYTES:
        return None
    return f"has only {node.disk_free_bytes} bytes free"


CLASS_FILTERS: tuple[Filter, ...] = (has_tags, is_capable)
"""Depend only on a task's class."""
NODE_FILTERS: tuple[Filter, ...] = (has_room, has_disk)
"""Change with every placement."""
