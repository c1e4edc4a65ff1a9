"""Which task goes where, by example."""

import pytest

from coordinator.filters import Filter, has_disk, has_room, has_tags, is_capable, takes_tasks
from coordinator.pending import Pending
from coordinator.plan import plan
from coordinator.snapshot import NodeState, Waiting
from tests.examples import GIB, a_node, a_task, a_waiting

SSD = frozenset({"ssd"})


def places(tasks: list[Waiting], nodes: list[NodeState], limit: int = 100) -> dict[int, str]:
    """Task number → node."""
    pending = Pending()
    for task in tasks:
        pending.add(task)
    return {int(one.task, 16): one.node for one in plan(pending, nodes, limit=limit)}


def test_the_least_loaded_node_is_chosen() -> None:
    nodes = [a_node("busy", assigned=2), a_node("idle"), a_node("full", assigned=4, room=1)]
    assert places([a_waiting(1)], nodes) == {1: "idle"}


def test_load_is_a_share_of_the_slots() -> None:
    nodes = [a_node("small", slots=2, assigned=1), a_node("large", slots=8, assigned=2)]
    assert places([a_waiting(1)], nodes) == {1: "large"}


def test_what_is_placed_is_reserved_so_that_a_burst_does_not_herd() -> None:
    placed = places([a_waiting(n) for n in range(1, 5)], [a_node("node-a"), a_node("node-b")])
    assert sorted(placed.values()) == ["node-a", "node-a", "node-b", "node-b"]


def test_a_node_gets_no_more_than_it_has_room_for() -> None:
    assert len(places([a_waiting(n) for n in range(1, 9)], [a_node(room=3)])) == 3


def test_higher_priority_goes_first_then_age() -> None:
    tasks = [a_waiting(1), a_waiting(2, priority=5), a_waiting(3, at=0.5)]
    assert list(places(tasks, [a_node(room=2)])) == [2, 3]


def test_only_a_node_with_all_tags_is_chosen() -> None:
    nodes = [a_node("plain"), a_node("fast", tags=SSD, assigned=3)]
    assert places([a_waiting(1, tags=SSD)], nodes) == {1: "fast"}


def test_a_class_that_no_node_can_take_does_not_hold_up_others() -> None:
    tasks = [*(a_waiting(n, priority=10, tags=SSD) for n in range(1, 50)), a_waiting(99)]
    assert places(tasks, [a_node()]) == {99: "node-a"}


def test_a_task_too_large_for_every_disk_does_not_hold_up_others_of_its_class() -> None:
    tasks = [a_waiting(1, size=1000 * GIB), a_waiting(2, size=1), a_waiting(3)]
    assert places(tasks, [a_node()]) == {2: "node-a", 3: "node-a"}


def test_a_task_too_large_for_now_still_waits_and_still_goes_first() -> None:
    pending = Pending()
    pending.add(a_waiting(1, size=1000 * GIB))
    assert plan(pending, [a_node()], limit=9) == []
    pending.add(a_waiting(2))
    placed = plan(pending, [a_node(disk_free_bytes=2000 * GIB)], limit=9)
    assert [one.task for one in placed] == [a_task(1), a_task(2)]


def test_disk_is_promised_as_tasks_are_placed() -> None:
    tasks = [a_waiting(1, size=GIB), a_waiting(2, size=GIB)]
    assert places(tasks, [a_node(disk_free_bytes=2 * GIB)]) == {1: "node-a"}


def test_a_node_the_task_failed_on_is_the_last_resort() -> None:
    task = a_waiting(1, avoid=("node-a",))
    assert places([task], [a_node("node-a"), a_node("node-b", assigned=3)]) == {1: "node-b"}
    assert places([task], [a_node("node-a")]) == {1: "node-a"}


def test_a_plan_stops_at_its_limit_and_leaves_the_rest_waiting() -> None:
    pending = Pending()
    for n in (1, 2, 3):
        pending.add(a_waiting(n))
    assert len(plan(pending, [a_node()], limit=2)) == 2
    assert a_task(3) in pending
    assert len(pending) == 1


def test_a_placement_says_why_and_names_the_row_and_the_process() -> None:
    pending = Pending()
    pending.add(a_waiting(1, sequence=42))
    [placement] = plan(pending, [a_node(instance="i7", assigned=1), a_node("node-b", assigned=2)], limit=1)
    assert (placement.sequence, placement.node, placement.instance) == (42, "node-a", "i7")
    assert placement.why == "the least loaded of 2 nodes that can: 1 of 4 slots in use"


@pytest.mark.parametrize(
    ("check", "node", "reason"),
    [
        (has_tags, a_node(), "lacks the tag eu, ssd"),
        (is_capable, a_node(capabilities=frozenset()), "can't do http"),
        (has_room, a_node(room=0), "all 4 slots are taken"),
        (has_disk, a_node(disk_free_bytes=9), "has only 9 B of disk left of which 64 MiB stay free"),
        (takes_tasks, a_node(trouble="the disk is full"), "the disk is full"),
    ],
)
def test_a_refusal_says_why(check: Filter, node: NodeState, reason: str) -> None:
    assert check(node, a_waiting(1, tags=frozenset({"ssd", "eu"}))) == reason
