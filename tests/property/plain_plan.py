"""The planner's rules in their plainest form: every task and every node is looked at for each placement."""

from collections import Counter

from coordinator.claims import Claim
from coordinator.filters import CLASS_FILTERS, excluded_by, has_disk
from coordinator.origins import limits_of
from coordinator.plan import AGED_EVERY
from coordinator.snapshot import NodeFacts, NodeState, Placement, Stand, Task
from coordinator.speeds import Speeds
from coordinator.strategies import LEAST_LOADED, Strategy
from coordinator.turns import Turns
from schemas.policy import Policy


class PlainPlanner:
    """What `Planner` must do, in the time that it takes."""

    def __init__(self) -> None:
        self.policy = Policy()
        self.strategy: Strategy = LEAST_LOADED
        self.speeds = Speeds()
        self.turns = Turns(self.policy)
        self.tasks: dict[str, Task] = {}
        self.facts: dict[str, NodeFacts] = {}
        self.stands: dict[str, Stand] = {}
        self.reserved: Counter[str] = Counter()
        """Bytes of disk given away since a node was last heard."""
        self.given: dict[str, int] = {}
        self.cooling: dict[str, float] = {}
        self.placed = 0
        self.kept: Claim | None = None

    def follow(self, policy: Policy, strategy: Strategy) -> None:
        self.policy = policy
        self.turns.follow(policy)
        self.strategy = strategy

    def set_node(self, facts: NodeFacts) -> None:
        self.facts[facts.node] = facts
        self.reserved[facts.node] = 0
        self.given.setdefault(facts.node, 0)

    def drop_node(self, name: str) -> None:
        self.facts.pop(name, None)
        self.given.pop(name, None)

    def add(self, task: Task) -> None:
        self.stands.pop(task.task, None)
        self.withdraw(task.task)
        if not any(one.owner == task.owner for one in self.tasks.values()):
            self.turns.enters(task.owner)
        self.tasks[task.task] = task

    def withdraw(self, name: str) -> None:
        task = self.tasks.pop(name, None)
        if task is not None and not any(one.owner == task.owner for one in self.tasks.values()):
            self.turns.leaves(task.owner)

    def occupy(self, name: str, stand: Stand) -> None:
        if self.stands.get(name) != stand:
            is_new = name not in self.stands
            self.stands[name] = stand
            self._served(stand, is_new=is_new)

    def vacate(self, name: str) -> None:
        self.stands.pop(name, None)

    def node(self, name: str) -> NodeState:
        facts = self.facts[name]
        here = [stand for stand in self.stands.values() if stand.node == name]
        line = sum(stand.bandwidth for stand in here) + self._kept_line(name)
        return NodeState(facts, len(here), facts.disk_left - self.reserved[name], line, self.given[name])

    def _kept_line(self, node: str) -> int:
        return self.kept.bandwidth if self.kept is not None and self.kept.node == node else 0

    def keeps(self, claim: Claim | None) -> None:
        """What the planner keeps after its plan: that the task may claim it is looked at here."""
        if self.kept is not None:
            assert claim == self.kept
        self.kept = claim
        assert claim is None or self.tasks[claim.task].sequence == claim.sequence

    def _may_claim(self, claim: Claim) -> bool:
        task = self.tasks.get(claim.task)
        if task is None or task.sequence != claim.sequence or claim.node not in self.facts:
            return False
        node = self.node(claim.node)
        checks = (*CLASS_FILTERS, has_disk)
        return not self.cooling.keys() & task.origins and all(
            check(node, task.wanted, task.size) is None for check in checks
        )

    def _kept_one(self) -> tuple[Task, NodeState] | None:
        """The task for which something is kept, and where it goes now."""
        kept = self.kept
        if kept is None or not self._may_claim(kept):
            self.kept = None
            return None
        task, node = self.tasks[kept.task], self.best_node(self.tasks[kept.task])
        self.kept = None
        if self.may_go(task):
            state = self.node(kept.node)
            if node is None and excluded_by(state, task.wanted, task.size) is None:
                node = state
            if node is not None:
                return task, node
        self.kept = kept
        return None

    def plan(self, limit: int, now: float) -> list[Placement]:
        self.cooling = {origin: until for origin, until in self.cooling.items() if until > now}
        first = self._kept_one()
        placements: list[Placement] = []
        while len(placements) < limit:
            if first is not None:
                (task, node), first = first, None
            else:
                following = self.next(by_age=self.placed % AGED_EVERY == AGED_EVERY - 1)
                if following is None:
                    break
                task, best = following, self.best_node(following)
                assert best is not None
                node = best
            self.placed += 1
            self.withdraw(task.task)
            self.stands[task.task] = Stand(node.node, task.owner, task.origins, task.wanted.bandwidth)
            self._served(self.stands[task.task])
            self.reserved[node.node] += task.size
            limited = any(limits_of(self.policy, origin).running is not None for origin in task.origins)
            placements.append(Placement(task.task, task.sequence, node.node, node.facts.instance, "", limited))
        return placements

    def _served(self, stand: Stand, *, is_new: bool = True) -> None:
        if is_new:
            self.turns.served(stand.owner)
        if stand.node in self.given:
            self.given[stand.node] = self.placed

    def next(self, *, by_age: bool) -> Task | None:
        able = [task for task in self.tasks.values() if self.may_go(task) and self.best_node(task) is not None]
        if not able:
            return None
        if by_age:
            owner = min({task.owner for task in able}, key=lambda name: (self.turns.of(name), name))
            return min((task for task in able if task.owner == owner), key=lambda task: (task.order, task.task))
        first = min(able, key=lambda task: (-task.priority, self.turns.of(task.owner), task.owner))
        same = [task for task in able if (task.owner, task.priority) == (first.owner, first.priority)]
        return min(same, key=lambda task: (task.order, task.task))

    def may_go(self, task: Task) -> bool:
        running = sum(stand.owner == task.owner for stand in self.stands.values())
        most = self.policy.owner(task.owner).running
        kept = self.kept is not None and self.kept.owner == task.owner
        return (most is None or running + kept < most) and all(map(self.origin_allows, set(task.origins)))

    def origin_allows(self, origin: str) -> bool:
        most = limits_of(self.policy, origin).running
        running = sum(origin in stand.origins for stand in self.stands.values())
        kept = self.kept is not None and origin in self.kept.origins
        return origin not in self.cooling and (most is None or running + kept < most)

    def best_node(self, task: Task) -> NodeState | None:
        able = [node for node in map(self.node, self.facts) if excluded_by(node, task.wanted, task.size) is None]
        tag = self.strategy.spread_tag
        groups: Counter[str] = Counter()
        for stand in self.stands.values():
            if tag and stand.node in self.facts:
                groups[self.facts[stand.node].tag_value(tag)] += 1

        def rank(node: NodeState) -> tuple[object, ...]:
            origin = task.origins[0] if self.strategy.by_origin and task.origins else ""
            origin = origin if self.speeds.knows(origin) else ""
            unpreferred = len(task.wanted.prefer_tags - node.facts.tags)
            group = groups[node.facts.tag_value(tag)] if tag else 0
            score = self.strategy.score(node, task.wanted, origin)
            return (node.node in task.avoid, node.is_busy, unpreferred, group, score, node.node)

        return min(able, key=rank, default=None)
