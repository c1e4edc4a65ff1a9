"""Why a task waits, and what placing thinks of each node for it, by the planner's own filters and scores. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import isfinite
from typing import NamedTuple

from coordinator.filters import exclusions
from coordinator.plan import Planner
from coordinator.shortfall import shortfall
from coordinator.snapshot import NodeState, Task
from schemas.control import NodeVerdict

AHEAD_MAX = 100_000
"""Tasks of one owner among which a place in the queue is counted out: some 30 ms."""

MINUTES_FROM_S, HOUR_S, DAY_S = 120, 3_600, 86_400


class Explanation(NamedTuple):
    """What placing says of a task just now."""

    strategy: str
    waits_for: tuple[str, ...]
    """What matters most first; each a sentence without its full stop."""
    ahead: int | None
    """Tasks of its owner that go before it; None where there are too many to count, or it is not in line yet."""
    nodes: tuple[NodeVerdict, ...]
    """The best first."""


def explain(planner: Planner, task: Task, now: float, *, before: tuple[str, ...] = (), away: int = 0) -> Explanation:
    """What the planner would make of a task. `now`: broker time; `before`: what keeps it from being looked at;
    `away`: nodes that are not online."""
    verdicts = tuple(judge(planner, task))
    ahead = None if before else tasks_ahead(planner, task)
    lacks = shortfall(tuple(planner.nodes), task, away=away)
    waits_for = (*before, *_held_up(planner, task, now), *filter(None, (lacks,)))
    if not waits_for and ahead:
        waits_for = (f"its turn: {ahead:,} of {task.owner}'s {'goes' if ahead == 1 else 'go'} before it",)
    return Explanation(planner.strategy.name, waits_for, ahead, verdicts)


def judge(planner: Planner, task: Task) -> Iterator[NodeVerdict]:
    """A verdict on each node that is online, the best first."""
    able: list[tuple[tuple[object, ...], NodeState, tuple[float | str, ...]]] = []
    excluded: list[NodeVerdict] = []
    origin = task.origins[0] if task.origins and planner.speeds.knows(task.origins[0]) else ""
    for node in sorted(planner.nodes, key=lambda one: one.node):
        if found := exclusions(node, task.wanted, task.size):
            why = "; ".join(reason for _, reason in found)
            excluded.append(NodeVerdict(node=node.node, online=True, excluded=why))
            continue
        score = planner.strategy.score(node, task.wanted, origin)
        unpreferred = len(task.wanted.prefer_tags - node.facts.tags)
        group = planner.in_group(node)
        able.append(((node.node in task.avoid, node.is_busy, unpreferred, group, score, node.node), node, score))
    for rank, (_, node, score) in enumerate(sorted(able, key=lambda one: one[0]), 1):
        shown = tuple(part if isinstance(part, str) or isfinite(part) else None for part in score)
        yield NodeVerdict(node=node.node, online=True, score=shown, rank=rank, note="; ".join(_notes(node, task)))
    yield from excluded


def tasks_ahead(planner: Planner, task: Task) -> int | None:
    """How many tasks of its owner go before a task, ageing apart."""
    owner = planner.pending.owner(task.owner)
    if owner is None:
        return 0
    if owner.count > AHEAD_MAX:
        return None
    mine = (-task.priority, task.order, task.task)
    return sum(
        (-one.priority, one.order, one.task) < mine for cell in owner.cells.values() for one in planner.pending.of(cell)
    )


def _notes(node: NodeState, task: Task) -> Iterator[str]:
    yield f"{node.assigned} of {node.slots} slots in use"
    if node.node in task.avoid:
        yield "the task failed there before: only if there is no other"
    if missing := sorted(task.wanted.prefer_tags - node.facts.tags):
        yield f"lacks {', '.join(missing)}, which is preferred"


def _held_up(planner: Planner, task: Task, now: float) -> Iterator[str]:
    """What holds it up whatever nodes there are."""
    limit = planner.policy.owner(task.owner).running
    if limit is not None and planner.running[task.owner] >= limit:
        yield f"{task.owner} has {_tasks(planner.running[task.owner])} at nodes, and the policy allows {limit:,}"
    for origin in dict.fromkeys(task.origins):
        if (until := planner.origins.cooling_until(origin)) is not None:
            why = f"{origin} asked to be left alone"
            if planner.origins.is_stopping(origin):
                why = f"{origin} may still be asked by the node of a task that ended elsewhere, and has a limit"
            yield f"{why}: nothing is begun from there {span(max(0.0, until - now), now)}"
        most, running = planner.origins.limit(origin), planner.origins.running(origin)
        if most is not None and running >= most:
            yield f"{origin} has {_tasks(running)} at nodes, and the policy allows {most:,}"
        elif (kept := planner.kept) and kept.task != task.task and origin in kept.origins and running + 1 == most:
            yield f"{origin} has its last place kept for {kept.task}, which has waited longest for several things"


def _tasks(count: int) -> str:
    return f"{count:,} task{'' if count == 1 else 's'}"


def span(seconds: float, now: float) -> str:
    """How long from `now` (broker time): for a while, or until when."""
    if seconds < MINUTES_FROM_S:
        return f"for another {seconds:.0f} s"
    if seconds < HOUR_S:
        return f"for another {seconds / 60:.0f} min"
    left = f"{seconds / HOUR_S:.0f} h" if seconds < 2 * DAY_S else f"{seconds / DAY_S:,.0f} d"
    return f"until {datetime.fromtimestamp(now + seconds, UTC):%Y-%m-%d %H:%M} UTC ({left})"
