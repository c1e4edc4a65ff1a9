"""Placing: whatever waits, whatever nodes there are and whatever changes, the quick planner does as the plain one does.

And what must hold of every plan is looked at after each.
"""

from collections import Counter
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from coordinator import orders
from coordinator.desk import NOWHERE
from coordinator.filters import CLASS_FILTERS, has_disk
from coordinator.origins import limits_of
from coordinator.plan import Planner
from coordinator.snapshot import NodeFacts, Stand, Task, Wanted
from coordinator.strategies import BUILT_IN, strategy_of
from schemas.policy import policy_of
from tests.property.plain_plan import PlainPlanner

GIB = 1 << 30
TAGS = ("ssd", "zone=a", "zone=b")
NAMES = ("n1", "n2", "n3", "n4")
OWNERS = ("ann", "bob", "cy")
ORIGINS = ("x.org:443", "y.org:80", "z.y.org:80")

tag_sets = st.frozensets(st.sampled_from(TAGS), max_size=2)
no_tags = st.just(frozenset[str]())
wants = st.builds(
    Wanted,
    capability=st.sampled_from(["http", "http", "sftp"]),
    tags=no_tags | no_tags | tag_sets,
    avoid_tags=no_tags | no_tags | tag_sets,
    prefer_tags=no_tags | tag_sets,
    bandwidth=st.sampled_from([0, 0, 0, 3, 7]),
)
tasks = st.builds(
    Task,
    task=st.integers(1, 40).map("t{:02d}".format),
    owner=st.sampled_from(OWNERS),
    priority=st.sampled_from([0, 0, 0, 5, -5]),
    order=st.integers(0, 20),
    sequence=st.integers(1, 10**6),
    wanted=wants,
    size=st.sampled_from([0, 0, GIB, GIB + 1, 3 * GIB, 9 * GIB]),
    origins=st.lists(st.sampled_from(ORIGINS), max_size=2, unique=True).map(tuple),
    avoid=st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(tuple),
)
nodes = st.builds(
    lambda slots, extra, **fields: NodeFacts(instance="i", slots=slots, limit=slots + extra, disk_low=GIB, **fields),
    slots=st.integers(1, 3),
    extra=st.integers(0, 1),
    node=st.sampled_from(NAMES),
    tags=tag_sets,
    capabilities=st.sampled_from([frozenset({"http", "sftp"}), frozenset({"http"})]),
    disk_left=st.sampled_from([0, 3 * GIB, 5 * GIB, 100 * GIB]),
    disk_capacity=st.sampled_from([0, 100 * GIB]),
    bandwidth=st.sampled_from([0, 5, 10]),
    excluded=st.sampled_from(["", "", "", "is cordoned"]),
)
few = st.integers(1, 3)
PHASES = (Phase.explicit, Phase.generate)
"""A failure is not made smaller: that takes minutes. Add `Phase.shrink` to look into one."""
policies = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(BUILT_IN),
        "spread_tag": st.sampled_from(["", "zone"]),
        "owners": st.dictionaries(
            st.sampled_from([*OWNERS, "*"]),
            st.fixed_dictionaries({"weight": st.sampled_from([1, 2, 5])}, optional={"running": few}),
            max_size=2,
        ),
        "origins": st.dictionaries(
            st.sampled_from(["x.org", "*.y.org", "y.org:80", "*"]), st.fixed_dictionaries({"running": few}), max_size=2
        ),
    }
)


class PlannerAndPlainOne(RuleBasedStateMachine):
    scanned_max = orders.SCANNED_MAX
    """So few shapes are all looked at for each choice."""

    def __init__(self) -> None:
        super().__init__()
        orders.SCANNED_MAX = self.scanned_max
        self.quick, self.plain = Planner(claim_every=1), PlainPlanner()
        self.sequence = 0
        self.now = 0.0

    def both(self, verb: str, *given: Any) -> None:
        for one in (self.quick, self.plain):
            getattr(one, verb)(*given)

    @rule(found=st.lists(tasks, min_size=1, max_size=12))
    def tasks_come_or_change(self, found: list[Task]) -> None:
        for task in found:
            self.sequence += 1
            self.both("add", replace(task, sequence=self.sequence))

    @rule(task=tasks)
    def a_task_is_withdrawn(self, task: Task) -> None:
        self.both("withdraw", task.task)

    @rule(facts=nodes)
    def a_node_comes_or_changes(self, facts: NodeFacts) -> None:
        self.both("set_node", facts)

    @rule(node=st.sampled_from(NAMES))
    def a_node_goes(self, node: str) -> None:
        self.both("drop_node", node)

    @rule(node=st.sampled_from(NAMES))
    def a_node_is_away_for_a_moment(self, node: str) -> None:
        if (facts := self.plain.facts.get(node)) is not None:
            self.both("set_node", replace(facts, excluded="is cordoned"))
            self.both("set_node", facts)

    @rule(task=tasks, node=st.sampled_from([*NAMES, NOWHERE]))
    def a_task_is_found_at_a_node(self, task: Task, node: str) -> None:
        self.both("withdraw", task.task)
        self.both("occupy", task.task, Stand(node, task.owner, task.origins, task.wanted.bandwidth))

    @rule(pick=st.integers(0, 99), count=st.integers(1, 4))
    def some_end(self, pick: int, count: int) -> None:
        for task in sorted(self.plain.stands)[pick % 5 :][:count]:
            self.both("vacate", task)

    @rule(values=policies)
    def the_policy_changes(self, values: dict[str, Any]) -> None:
        policy = policy_of(values)
        for one in (self.quick, self.plain):
            one.follow(policy, strategy_of(policy, one.speeds))

    @rule(origin=st.sampled_from(ORIGINS), for_s=st.integers(1, 3))
    def an_origin_cools_down(self, origin: str, for_s: int) -> None:
        until = max(self.now + for_s, self.plain.cooling.get(origin, 0.0))
        self.quick.cool(origin, until)
        self.plain.cooling[origin] = until

    @rule(node=st.sampled_from(NAMES), origin=st.sampled_from(ORIGINS), speed=st.integers(1, 9))
    def a_download_was_measured(self, node: str, origin: str, speed: int) -> None:
        self.quick.measured(node, origin, speed << 20, 1.0)
        self.plain.speeds.measured(node, origin, speed << 20, 1.0)

    @rule(limit=st.integers(1, 30), passed_s=st.integers(0, 1))
    def plan(self, limit: int, passed_s: int) -> None:
        self.now += passed_s
        before = {name: self.plain.node(name) for name in self.plain.facts}
        waited = dict(self.plain.tasks)
        plan = self.quick.plan(limit, self.now)
        found = [replace(one, why="") for one in plan.placements]
        assert found == self.plain.plan(limit, self.now)
        self.plain.keeps(self.quick.kept)
        for placement in found:
            task, node = waited[placement.task], before[placement.node]
            assert all(check(node, task.wanted, task.size) is None for check in CLASS_FILTERS)
            assert has_disk(node, task.wanted, task.size) is None

    @invariant()
    def nothing_is_over_its_limits(self) -> None:
        policy = self.plain.policy
        for name in self.plain.facts:
            state = self.quick.node(name)
            assert state == self.plain.node(name)
        for origin in ORIGINS:
            running = sum(origin in stand.origins for stand in self.plain.stands.values())
            assert self.quick.origins.running(origin) == running
        assert dict(self.quick.running) == Counter(stand.owner for stand in self.plain.stands.values())
        assert len(self.quick.pending) == len(self.plain.tasks)
        assert limits_of(policy, "q.org:1").running == (policy.origins["*"].running if "*" in policy.origins else None)


class PlannerOfManyShapesAndPlainOne(PlannerAndPlainOne):
    """A heap says which shape comes first."""

    scanned_max = 0


SHORT = settings(max_examples=45, stateful_step_count=25, deadline=None, phases=PHASES)
TestPlannerAndPlainOne = PlannerAndPlainOne.TestCase
TestPlannerAndPlainOne.settings = SHORT
TestPlannerOfManyShapesAndPlainOne = PlannerOfManyShapesAndPlainOne.TestCase
TestPlannerOfManyShapesAndPlainOne.settings = SHORT
