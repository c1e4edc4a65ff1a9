"""Why a node can't take a task: small pure functions, each a reason or None."""

from collections.abc import Callable

from coordinator.snapshot import NodeState, Wanted
from schemas.settings import NodeSettings
from schemas.sizes import format_size

DISK_LOW_BYTES = NodeSettings().disk_low
"""The low mark of a node of a version that does not tell its own."""

Filter = Callable[[NodeState, Wanted, int], str | None]
"""Takes the node, what is wanted, and the bytes that the file needs (0 while unknown)."""


def takes_tasks(node: NodeState, wanted: Wanted, size: int) -> str | None:
    return node.facts.excluded or None


def has_tags(node: NodeState, wanted: Wanted, size: int) -> str | None:
    missing = wanted.tags - node.facts.tags
    return f"lacks the tag {', '.join(sorted(missing))}" if missing else None


def has_no_avoided_tag(node: NodeState, wanted: Wanted, size: int) -> str | None:
    avoided = wanted.avoid_tags & node.facts.tags
    return f"has the tag {', '.join(sorted(avoided))}, which the task avoids" if avoided else None


def is_capable(node: NodeState, wanted: Wanted, size: int) -> str | None:
    return None if wanted.capability in node.facts.capabilities else f"can't do {wanted.capability}"


def is_wide_enough(node: NodeState, wanted: Wanted, size: int) -> str | None:
    """Whether its line is as wide as is asked for, when nothing else uses it."""
    line = node.facts.bandwidth
    if not line or wanted.bandwidth <= line:
        return None
    return f"its line has {format_size(line)}/s, {format_size(wanted.bandwidth)}/s are asked for"


def has_room(node: NodeState, wanted: Wanted, size: int) -> str | None:
    return None if node.room > 0 else f"all {node.slots} slots are taken"


def fits_line(node: NodeState, bandwidth: int) -> bool:
    """Whether so many bytes a second of its line are left; a node that does not say has enough."""
    line = node.facts.bandwidth
    return not bandwidth or not line or node.bandwidth_used + bandwidth <= line


def has_bandwidth(node: NodeState, wanted: Wanted, size: int) -> str | None:
    if fits_line(node, wanted.bandwidth):
        return None
    line = node.facts.bandwidth
    left = format_size(max(0, line - node.bandwidth_used))
    return f"has {left}/s of its {format_size(line)}/s left, {format_size(wanted.bandwidth)}/s are asked for"


def fits_disk(node: NodeState, size: int) -> bool:
    """Whether there are so many bytes of disk above the low mark."""
    return node.disk_left - size >= node.facts.disk_low


def has_disk(node: NodeState, wanted: Wanted, size: int) -> str | None:
    """Room for what the task is known to need, above the low mark."""
    if fits_disk(node, size):
        return None
    free, kept = format_size(max(0, node.disk_left)), format_size(node.facts.disk_low)
    asked = f"for a file of {format_size(size)}, " if size else ""
    return f"has only {free} of disk left {asked}of which {kept} stay free"


CLASS_FILTERS: tuple[Filter, ...] = (takes_tasks, has_tags, has_no_avoided_tag, is_capable, is_wide_enough)
"""Depend on the node's facts and on a task's class alone."""
LOAD_FILTERS: tuple[Filter, ...] = (has_room, has_bandwidth)
"""Change with every placement."""
FILTERS: tuple[Filter, ...] = (*CLASS_FILTERS, *LOAD_FILTERS, has_disk)


def exclusions(node: NodeState, wanted: Wanted, size: int) -> list[tuple[Filter, str]]:
    """Everything that excludes a node, by filter; how full it is only where it could have such a task at all."""
    found = [(check, reason) for check in CLASS_FILTERS if (reason := check(node, wanted, size)) is not None]
    loads = (*LOAD_FILTERS, has_disk)
    return found or [(check, reason) for check in loads if (reason := check(node, wanted, size)) is not None]


def excluded_by(node: NodeState, wanted: Wanted, size: int) -> str | None:
    """The first reason why a node can't take such a task now; None where it can."""
    for check in FILTERS:
        if (reason := check(node, wanted, size)) is not None:
            return reason
    return None
