"""Why none of the nodes can have a task now, in a sentence: first what passes by itself, then what never will. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from coordinator.filters import (
    Filter,
    excluded_by,
    exclusions,
    has_bandwidth,
    has_disk,
    has_no_avoided_tag,
    has_room,
    is_capable,
    is_wide_enough,
    takes_tasks,
)
from coordinator.snapshot import NodeState, Task, Wanted
from schemas.sizes import format_size

NAMED_MAX = 3
"""Nodes named in a sentence; of more, how many they are."""
KINDS_MAX = 4
"""Reasons counted in a sentence: what is left over is one more."""
_PASSES = (has_room, has_bandwidth, has_disk)
"""In the order of how soon it may pass."""
_PLURAL = {"lacks": "lack", "has": "have", "is": "are", "does": "do", "can't": "can't"}

Found = list[tuple[Filter, str]]
"""What excludes one node: each filter and its reason."""


def shortfall(nodes: Sequence[NodeState], task: Task, *, away: int = 0) -> str:
    """What a task waits for that no node of these can have now: a sentence without its full stop; empty if one can.

    `away`: nodes that are known but not online.
    """
    if not nodes:
        return f"no node is online ({_count(away, 'is away', 'are away')})" if away else "no node is online"
    wanted = task.wanted
    if any(excluded_by(node, wanted, task.size) is None for node in nodes):
        return ""
    found = {node.node: exclusions(node, wanted, task.size) for node in sorted(nodes, key=lambda one: one.node)}
    soon = {name: why for name, why in found.items() if why[0][0] in _PASSES}
    if soon:
        others = _counted((why for name, why in found.items() if name not in soon), noun=True)
        return f"it waits for {_passing(soon, task)}{_aside(others)}"
    closed = {name: why for name, why in found.items() if all(check is takes_tasks for check, _ in why)}
    if closed:
        others = _counted((why for name, why in found.items() if name not in closed), noun=True)
        return f"{_closed(closed)}{_aside(others)}"
    return _never(nodes, wanted, list(found.values()), away)


def _passing(soon: dict[str, Found], task: Task) -> str:
    """`a slot on a or b, or for 10 GiB of disk on c`"""
    groups: dict[tuple[Filter, ...], list[str]] = {}
    for name, why in soon.items():
        groups.setdefault(tuple(check for check, _ in why), []).append(name)
    what: dict[Filter, str] = {
        has_room: "a slot",
        has_bandwidth: f"{format_size(task.wanted.bandwidth)}/s of bandwidth",
        has_disk: f"{format_size(task.size)} of disk" if task.size else "room on the disk",
    }
    first = sorted(groups.items(), key=lambda group: (_PASSES.index(group[0][-1]), -len(group[1])))
    return ", or for ".join(
        f"{' and '.join(what[check] for check in checks)} on {_named(names)}" for checks, names in first
    )


def _closed(found: dict[str, Found]) -> str:
    """`a, the only node that could have it, is cordoned: new disks`"""
    closed = {name: why[0][1] for name, why in found.items()}
    if len(closed) == 1:
        ((name, why),) = closed.items()
        return f"{name} alone could have it, and {_as_verb(why)}"
    if len(closed) <= NAMED_MAX:
        told = ", ".join(f"{name} {_as_verb(why)}" for name, why in closed.items())
    else:
        told = _counted(found[name] for name in closed)
    return f"the {len(closed)} nodes that could have it take nothing: {told}"


def _never(nodes: Sequence[NodeState], wanted: Wanted, found: list[Found], away: int) -> str:
    """None is what the task asks for, whatever happens to those that are there."""
    lasting: list[Found] = [[(check, why) for check, why in each if check is not takes_tasks] for each in found]
    shut: list[Found] = [[(check, why) for check, why in each if check is takes_tasks] for each in found]
    if len(nodes) == 1:
        told = " and ".join(_short(check, why) for check, why in (*lasting[0], *shut[0]))
        return f"the only node {told}"
    none = "no node that is online" if away else "no node"
    had = frozenset[str]().union(*(node.facts.tags for node in nodes))
    common = [f"{none} has the tag {tag}" for tag in sorted(wanted.tags - had)]
    checks = [{check for check, _ in each} for each in found]
    for check, said in (
        (has_no_avoided_tag, f"{none} is without the tags that it avoids"),
        (is_capable, f"{none} can do {wanted.capability}"),
        (is_wide_enough, f"{none} has a line of {format_size(wanted.bandwidth)}/s"),
    ):
        common += [said] if all(check in each for each in checks) else []
    besides = _counted(each for each in shut if each)
    aside = _aside(f"{besides} besides" if besides else "")
    if common:
        return f"{' and '.join(common)}{aside}"
    return f"{none} fits: {_counted(lasting)}{aside}"


def _named(names: Sequence[str]) -> str:
    if len(names) > NAMED_MAX:
        return f"one of {len(names):,} nodes"
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _counted(found: Iterable[Found], *, noun: bool = False) -> str:
    """`2 lack the tag ssd, 1 is cordoned`; `noun`: `2 nodes lack …`, the first time."""
    groups = Counter(tuple(_short(check, why) for check, why in _what_matters(each)) for each in found)
    parts = [
        _count(count, " and ".join(said), " and ".join(map(_plural, said)))
        for said, count in groups.most_common(KINDS_MAX)
    ]
    if (left := groups.total() - sum(count for _, count in groups.most_common(KINDS_MAX))) > 0:
        parts.append(_count(left, "can't have it either", "can't have it either"))
    if noun and parts:
        number, _, rest = parts[0].partition(" ")
        parts[0] = f"{number} {'node' if number == '1' else 'nodes'} {rest}"
    return ", ".join(parts)


def _what_matters(found: Found) -> Found:
    """A node that lacks something is of no use open or closed."""
    return [(check, why) for check, why in found if check is not takes_tasks] or found


def _aside(told: str) -> str:
    return f" ({told})" if told else ""


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _short(check: Callable[..., object], why: str) -> str:
    """A reason as it follows a number of nodes, alike for all that have it."""
    if check is takes_tasks:
        # What a node says of its own trouble differs from node to node.
        return _as_verb(why).partition(":")[0]
    return "has too narrow a line" if check is is_wide_enough else why


def _as_verb(why: str) -> str:
    return why if why.partition(" ")[0] in _PLURAL else f"is in trouble: {why}"


def _plural(said: str) -> str:
    verb, _, rest = said.partition(" ")
    return f"{_PLURAL.get(verb, verb)} {rest}"
