"""The planner's rules in their plainest form: every task and every node is looked at for each placement."""

from collections import Counter

from coordinator.filters import excluded_by
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
            self.stands[name] = stand
            self._served(stand)

    def vacate(self, name: str) -> None:
        self.stands.pop(name, None)

    def node(self, name: str) -> NodeState:
        facts = self.facts[name]
        here = [stand for stand in self.stands.values() if stand.node == name]
        line = sum(stand.bandwidth for stand in here)
        return NodeState(facts, len(here), facts.disk_left - self.reserved[name], line, self.given[name])

    def plan(self, limit: int, now: float) -> list[Placement]:
        self.cooling = {origin: until for origin, until in self.cooling.items() if until > now}
        placements: list[Placement] = []
        while len(placements) < limit:
            task = self.next(by_age=self.placed % AGED_EVERY == AGED_EVERY - 1)
            if task is None:
                break
            node = self.best_node(task)
            assert node is not None
            self.placed += 1
            self.withdraw(task.task)
            self.stands[task.task] = Stand(node.node, task.owner, task.origins, task.wanted.bandwidth)
            self._served(self.stands[task.task])
            self.reserved[node.node] += task.size
            limited = any(limits_of(self.policy, origin).running is not None for origin in task.origins)
            placements.append(Placement(task.task, task.sequence, node.node, node.facts.instance, "", limited))
        return placements

    def _served(self, stand: Stand) -> None:
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
        return (most is None or running < most) and all(map(self.origin_allows, set(task.origins)))

    def origin_allows(self, origin: str) -> bool:
        most = limits_of(self.policy, origin).running
        running = sum(origin in stand.origins for stand in self.stands.values())
        return origin not in self.cooling and (most is None or running < most)

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
