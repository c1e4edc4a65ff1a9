"""Slots that stay free while tasks wait in line at other nodes: which of these are asked back for them. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from coordinator.filters import CLASS_FILTERS, has_bandwidth, has_disk
from coordinator.plan import Planner
from coordinator.snapshot import NodeState, Task, Wanted

ASKED_MAX = 256
"""Asked back in one round: their writes go out together, and others' go in between rounds."""
LOOKS_MAX = 20_000
"""Nodes looked at in one round, beside those alike: some 20 ms of the leader's time."""


class InLine(NamedTuple):
    """A task that waits for a slot at its node."""

    task: Task
    node: str
    is_asked: bool = False
    """It is on its way back already: a free slot is meant for it."""


class _Alike(NamedTuple):
    """What the filters of a class go by."""

    tags: frozenset[str]
    capabilities: frozenset[str]
    line: int


def free_slots(nodes: Iterable[NodeState]) -> dict[str, int]:
    """Slots for which nothing stands there or is on its way, by node; only of nodes that take tasks."""
    found = {}
    for node in nodes:
        facts = node.facts
        if (left := min(facts.slots, facts.limit) - node.assigned) > 0 and not facts.excluded:
            found[facts.node] = left
    return found


def lasting(free: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Slots that were free a round ago as well: what could be placed there from the queue has been since."""
    return {node: min(slots, before[node]) for node, slots in free.items() if node in before}


def lines(nodes: Iterable[NodeState]) -> dict[str, int]:
    """How many tasks each node has beyond its slots."""
    return {node.node: node.assigned - node.slots for node in nodes if node.assigned > node.slots}


def asked_back(
    planner: Planner, free: Mapping[str, int], in_line: Mapping[str, int], waiting: Iterable[InLine]
) -> list[InLine]:
    """Which of `waiting` should give up their place in line, best first: at most one for each free slot.

    `free`: slots by node; `in_line`: how many each node has beyond its slots, so that none gives away what it could
    begin itself. Only what the planner would place there when it is queued again is asked back.
    """
    round_ = _Round(planner, free)
    left = dict(in_line)
    found: list[InLine] = []
    for one in sorted(waiting, key=lambda one: (not one.is_asked, -one.task.priority, one.task.order, one.task.task)):
        if not left.get(one.node) or (not one.is_asked and not _would_go(planner, one.task)):
            continue
        if not round_.takes(one.task):
            continue
        left[one.node] -= 1
        if not one.is_asked:
            found.append(one)
        if len(found) >= ASKED_MAX:
            break
    return found


def _would_go(planner: Planner, task: Task) -> bool:
    """Whether nothing but a slot would keep it waiting; it counts against its own limits still."""
    most = planner.policy.owner(task.owner).running
    if most is not None and planner.running[task.owner] > most:
        return False
    for origin in task.origins:
        limit = planner.origins.limit(origin)
        if planner.origins.cooling_until(origin) is not None or (
            limit is not None and planner.origins.running(origin) > limit
        ):
            return False
    return True


class _Round:
    """The free slots of one round. Nodes that are alike are judged once for all tasks that want the same."""

    def __init__(self, planner: Planner, free: Mapping[str, int]) -> None:
        self._left = dict(free)
        self._alike: defaultdict[_Alike, list[NodeState]] = defaultdict(list)
        for name in free:
            if (node := planner.node(name)) is not None:
                facts = node.facts
                self._alike[_Alike(facts.tags, facts.capabilities, facts.bandwidth)].append(node)
        self._able: dict[Wanted, list[NodeState]] = {}
        self._too_large: dict[Wanted, int] = {}
        """The smallest that found no node."""
        self._looks_left = LOOKS_MAX

    def takes(self, task: Task) -> bool:
        """Give it a slot; False where none is for it."""
        if task.size >= self._too_large.get(task.wanted, task.size + 1):
            return False
        able = self._able_for(task.wanted)
        for index, node in enumerate(able):
            if not self._looks_left:
                return False
            self._looks_left -= 1
            if not self._left[node.node] or node.node in task.avoid:
                continue
            if has_bandwidth(node, task.wanted, 0) is None and has_disk(node, task.wanted, task.size) is None:
                self._left[node.node] -= 1
                if not self._left[node.node]:
                    del able[index]
                return True
        if not task.avoid:
            self._too_large[task.wanted] = task.size
        return False

    def _able_for(self, wanted: Wanted) -> list[NodeState]:
        """The nodes that can do it, whatever their load."""
        if wanted not in self._able:
            self._able[wanted] = [
                node
                for alike in self._alike.values()
                if all(check(alike[0], wanted, 0) is None for check in CLASS_FILTERS)
                for node in alike
            ]
        return self._able[wanted]
