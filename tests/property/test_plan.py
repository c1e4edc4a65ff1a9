"""Placing: whatever waits and whatever nodes there are, these hold for every plan."""

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from coordinator.filters import CLASS_FILTERS, NODE_FILTERS
from coordinator.pending import Pending
from coordinator.plan import plan
from coordinator.snapshot import NodeState, Placement, Waiting
from tests.examples import GIB, a_node, a_waiting

TAGS = ("eu", "ssd")
CAPABILITIES = ("http", "sftp")
UNLIMITED = 1000

tag_sets = st.frozensets(st.sampled_from(TAGS))
nodes = st.lists(
    st.builds(
        lambda name, slots, assigned, **fields: a_node(
            name, slots=slots, assigned=assigned, room=slots + 1 - assigned, **fields
        ),
        name=st.sampled_from(["n1", "n2", "n3", "n4"]),
        slots=st.integers(1, 3),
        assigned=st.integers(0, 5),
        tags=tag_sets,
        capabilities=st.sampled_from([frozenset(CAPABILITIES), frozenset(CAPABILITIES), frozenset({"http"})]),
        disk_free_bytes=st.sampled_from([100 * GIB, 3 * GIB // 2, 3 * GIB // 2, 0]),
    ),
    max_size=4,
    unique_by=lambda node: node.node,
)
tasks = st.lists(
    st.builds(
        a_waiting,
        st.integers(1, 99),
        priority=st.integers(-2, 2),
        at=st.floats(0, 9),
        tags=st.sampled_from([frozenset[str](), frozenset[str](), frozenset({"eu"})]),
        capability=st.sampled_from(CAPABILITIES),
        size=st.sampled_from([0, GIB, GIB, 9 * GIB]),
        avoid=st.lists(st.sampled_from(["n1", "n2"]), max_size=2).map(tuple),
    ),
    max_size=20,
    unique_by=lambda task: task.task,
)
limits = st.integers(0, 8) | st.just(UNLIMITED)


class Planned(NamedTuple):
    placements: list[Placement]
    left: list[Waiting]
    nodes: dict[str, NodeState]
    """As they are once all is placed."""


def planned(tasks: Iterable[Waiting], nodes: Iterable[NodeState], limit: int = UNLIMITED) -> Planned:
    pending, by_task = Pending(), {task.task: task for task in tasks}
    for task in by_task.values():
        pending.add(task)
    placements = plan(pending, list(nodes), limit=limit)
    after = {node.node: node for node in nodes}
    for placement in placements:
        node = after[placement.node]
        after[placement.node] = replace(
            node,
            room=node.room - 1,
            assigned=node.assigned + 1,
            disk_free_bytes=node.disk_free_bytes - by_task[placement.task].size,
        )
    return Planned(placements, [task for task in by_task.values() if task.task in pending], after)


@given(tasks, nodes, limits)
def test_no_node_is_given_more_than_it_has_room_for(tasks: list[Waiting], nodes: list[NodeState], limit: int) -> None:
    given_to = Counter(placement.node for placement in planned(tasks, nodes, limit).placements)
    assert all(given_to[node.node] <= max(0, node.room) for node in nodes)


@settings(max_examples=100)
@given(tasks, nodes, limits)
def test_no_disk_is_filled_beyond_its_low_mark(tasks: list[Waiting], nodes: list[NodeState], limit: int) -> None:
    result = planned(tasks, nodes, limit)
    for placement in result.placements:
        node = result.nodes[placement.node]
        assert node.disk_free_bytes >= node.disk_low_bytes


@given(tasks, nodes, limits)
def test_no_task_goes_to_a_node_without_its_tags_and_capability(
    tasks: list[Waiting], nodes: list[NodeState], limit: int
) -> None:
    by_task, by_node = {task.task: task for task in tasks}, {node.node: node for node in nodes}
    for placement in planned(tasks, nodes, limit).placements:
        task, node = by_task[placement.task], by_node[placement.node]
        assert task.tags <= node.tags
        assert task.capability in node.capabilities
        assert (placement.sequence, placement.instance) == (task.sequence, node.instance)


@given(tasks, nodes)
def test_no_task_stays_while_a_node_could_take_it(tasks: list[Waiting], nodes: list[NodeState]) -> None:
    result = planned(tasks, nodes)
    for task in result.left:
        for node in result.nodes.values():
            assert any(check(node, task) is not None for check in CLASS_FILTERS + NODE_FILTERS)


@given(tasks, nodes, limits)
def test_a_plan_ends_at_its_limit_or_where_nothing_fits(
    tasks: list[Waiting], nodes: list[NodeState], limit: int
) -> None:
    result = planned(tasks, nodes, limit)
    assert len(result.placements) == min(limit, len(planned(tasks, nodes).placements))


@given(tasks, nodes, limits)
def test_every_task_is_placed_once_or_waits_on(tasks: list[Waiting], nodes: list[NodeState], limit: int) -> None:
    result = planned(tasks, nodes, limit)
    seen = [placement.task for placement in result.placements] + [task.task for task in result.left]
    assert sorted(seen) == sorted(task.task for task in tasks)


@given(tasks, nodes, limits)
def test_what_goes_first_is_placed_first(tasks: list[Waiting], nodes: list[NodeState], limit: int) -> None:
    rank = {task.task: task.rank for task in tasks}
    order = [rank[placement.task] for placement in planned(tasks, nodes, limit).placements]
    assert order == sorted(order)


@given(tasks, nodes, limits, st.randoms(use_true_random=False))
def test_equal_inputs_in_any_order_give_an_equal_plan(
    tasks: list[Waiting], nodes: list[NodeState], limit: int, dice: Random
) -> None:
    expected = planned(tasks, nodes, limit).placements
    dice.shuffle(tasks)
    dice.shuffle(nodes)
    assert planned(tasks, nodes, limit).placements == expected


@given(tasks, nodes, st.integers(1, 30))
def test_a_class_that_no_node_can_take_blocks_nobody(tasks: list[Waiting], nodes: list[NodeState], many: int) -> None:
    blocked = [a_waiting(100 + n, priority=10, tags=frozenset({"nowhere"})) for n in range(many)]
    assert planned([*blocked, *tasks], nodes).placements == planned(tasks, nodes).placements


@given(tasks, nodes, st.integers(1, 30))
def test_tasks_too_large_for_every_disk_block_nobody_of_their_own_class(
    tasks: list[Waiting], nodes: list[NodeState], many: int
) -> None:
    huge = [a_waiting(100 + n, priority=10, size=1000 * GIB) for n in range(many)]
    result = planned([*huge, *tasks], nodes)
    assert result.placements == planned(tasks, nodes).placements
    assert {task.task for task in huge} <= {task.task for task in result.left}


@given(st.integers(1, 12), st.integers(1, 4))
def test_a_burst_is_spread_over_equal_nodes(many: int, count: int) -> None:
    idle = [a_node(f"n{n}", slots=12, room=12) for n in range(count)]
    given_to = Counter(placement.node for placement in planned(map(a_waiting, range(1, many + 1)), idle).placements)
    loads = [given_to[node.node] for node in idle]
    assert max(loads) - min(loads) <= 1
