"""Which task goes where, by example."""

from typing import Any

import pytest

from coordinator.filters import FILTERS, excluded_by
from coordinator.plan import AGED_EVERY, LOOKS_MIN, Planner
from coordinator.snapshot import NodeFacts, NodeState, Stand, Task, Wanted
from coordinator.strategies import Strategy, StrategyFailed, strategy_of
from schemas.errors import PolicyInvalid
from schemas.policy import Policy, policy_of
from tests.examples import GIB, a_node, a_state, a_task, a_waiting

SSD = frozenset({"ssd"})
X, Y = "x.org:443", "y.org:443"


def planner(*nodes: NodeFacts, **policy: Any) -> Planner:
    found = Planner()
    follow(found, **policy)
    for facts in nodes:
        found.set_node(facts)
    return found


def follow(one: Planner, **policy: Any) -> None:
    wanted = policy_of(policy)
    one.follow(wanted, strategy_of(wanted, one.speeds))


def loaded(one: Planner, **assigned: int) -> Planner:
    """With so many tasks at nodes already."""
    for node, count in assigned.items():
        for number in range(count):
            one.occupy(f"{node}-{number}", Stand(node, "someone", (), 0))
    return one


def places(one: Planner, *tasks: Task, limit: int = 100, now: float = 0.0) -> dict[int, str]:
    """Task number → node, in the order of the plan."""
    for task in tasks:
        one.add(task)
    return {int(placed.task, 16): placed.node for placed in one.plan(limit, now).placements}


def test_the_least_loaded_node_is_chosen() -> None:
    one = loaded(planner(a_node("busy"), a_node("idle"), a_node("full")), busy=2, full=4)
    assert places(one, a_waiting(1)) == {1: "idle"}


def test_load_is_a_share_of_the_slots() -> None:
    one = loaded(planner(a_node("small", slots=2), a_node("large", slots=8)), small=1, large=2)
    assert places(one, a_waiting(1)) == {1: "large"}


def test_what_is_placed_is_reserved_so_that_a_burst_does_not_herd() -> None:
    placed = places(planner(a_node("node-a"), a_node("node-b")), *map(a_waiting, range(1, 5)))
    assert sorted(placed.values()) == ["node-a", "node-a", "node-b", "node-b"]


def test_a_node_gets_no_more_than_it_has_room_for() -> None:
    assert len(places(planner(a_node(limit=3)), *map(a_waiting, range(1, 9)))) == 3


def test_higher_priority_goes_first_then_age() -> None:
    tasks = [a_waiting(1), a_waiting(2, priority=5), a_waiting(3, order=0)]
    assert list(places(planner(a_node(limit=2)), *tasks)) == [2, 3]


def test_a_free_slot_is_better_than_a_preferred_node_without_one() -> None:
    one = loaded(planner(a_node("near", tags=SSD, limit=6), a_node("far")), near=4)
    task = a_waiting(1, wanted=Wanted("http", prefer_tags=SSD))
    assert places(one, task) == {1: "far"}


def test_of_nodes_with_free_slots_those_with_the_preferred_tags_come_first() -> None:
    one = loaded(planner(a_node("near", tags=SSD), a_node("far")), near=3)
    assert places(one, a_waiting(1, wanted=Wanted("http", prefer_tags=SSD))) == {1: "near"}


def test_a_node_with_an_avoided_tag_is_never_chosen() -> None:
    one = planner(a_node("metered", tags=frozenset({"metered"})))
    assert places(one, a_waiting(1, wanted=Wanted("http", avoid_tags=frozenset({"metered"})))) == {}


def test_a_tag_with_a_value_matches_whole() -> None:
    one = planner(a_node("a", tags=frozenset({"zone=eu-west"})))
    assert places(one, a_waiting(1, wanted=Wanted("http", tags=frozenset({"zone=eu"})))) == {}
    assert places(one, a_waiting(2, wanted=Wanted("http", tags=frozenset({"zone=eu-west"})))) == {2: "a"}


def test_a_class_that_no_node_can_take_does_not_hold_up_others() -> None:
    blocked = [a_waiting(n, priority=10, wanted=Wanted("http", tags=SSD)) for n in range(1, 50)]
    assert places(planner(a_node()), *blocked, a_waiting(99)) == {99: "node-a"}


def test_what_was_blocked_goes_once_a_node_can_take_it() -> None:
    one = planner(a_node(slots=1))
    assert places(one, a_waiting(1, wanted=Wanted("http", tags=SSD))) == {}
    one.set_node(a_node("fast", tags=SSD))
    assert places(one) == {1: "fast"}


def test_a_task_too_large_for_every_disk_does_not_hold_up_others_of_its_class() -> None:
    tasks = [a_waiting(1, size=1000 * GIB), a_waiting(2, size=1), a_waiting(3)]
    assert places(planner(a_node()), *tasks) == {2: "node-a", 3: "node-a"}


def test_a_task_too_large_for_now_still_waits_and_goes_once_there_is_room() -> None:
    one = planner(a_node())
    assert places(one, a_waiting(1, size=1000 * GIB)) == {}
    one.set_node(a_node(disk_left=2000 * GIB))
    assert list(places(one, a_waiting(2))) == [1, 2]


def test_disk_is_promised_as_tasks_are_placed() -> None:
    tasks = [a_waiting(1, size=GIB), a_waiting(2, size=GIB)]
    assert places(planner(a_node(disk_left=2 * GIB)), *tasks) == {1: "node-a"}


def test_a_line_is_never_promised_twice() -> None:
    tasks = [a_waiting(n, wanted=Wanted("http", bandwidth=6)) for n in (1, 2)]
    one = planner(a_node(bandwidth=10))
    assert places(one, *tasks) == {1: "node-a"}
    one.vacate(a_task(1))
    assert places(one) == {2: "node-a"}


def test_a_node_the_task_failed_on_is_the_last_resort() -> None:
    task = a_waiting(1, avoid=("node-a",))
    assert places(loaded(planner(a_node("node-a"), a_node("node-b")), **{"node-b": 3}), task) == {1: "node-b"}
    assert places(planner(a_node("node-a")), task) == {1: "node-a"}


def test_a_plan_stops_at_its_limit_and_says_that_there_is_more() -> None:
    one = planner(a_node())
    for number in (1, 2, 3):
        one.add(a_waiting(number))
    plan = one.plan(2, 0.0)
    assert (len(plan.placements), plan.is_cut, len(one.pending)) == (2, True, 1)


def test_a_plan_gives_others_their_time_where_very_many_tasks_can_not_be_placed() -> None:
    one = planner(a_node())
    for number in range(1, 3 * LOOKS_MIN):
        one.add(a_waiting(number, priority=1, size=(101 + number % 300) * GIB))
    one.add(a_waiting(10**6))
    plans = 1
    while (plan := one.plan(10, 0.0)).is_cut and not plan.placements:
        plans += 1
    assert plans > 1
    assert [placed.task for placed in plan.placements] == [a_task(10**6)]


def test_a_placement_says_why_and_names_the_row_and_the_process() -> None:
    one = loaded(planner(a_node("node-a", instance="i7"), a_node("node-b")), **{"node-a": 1, "node-b": 2})
    one.add(a_waiting(1, sequence=42))
    [placement] = one.plan(1, 0.0).placements
    assert (placement.sequence, placement.node, placement.instance) == (42, "node-a", "i7")
    assert placement.why == "the least loaded of 2 nodes that can: 1 of 4 slots in use"


def test_round_robin_goes_round() -> None:
    one = planner(a_node("a"), a_node("b"), a_node("c"), strategy="round-robin")
    assert list(places(one, *map(a_waiting, range(1, 7))).values()) == ["a", "b", "c", "a", "b", "c"]


def test_bin_pack_fills_a_node_before_the_next() -> None:
    one = planner(a_node("a"), a_node("b"), strategy="bin-pack")
    assert "".join(places(one, *map(a_waiting, range(1, 7))).values()) == "aaaabb"


def test_bin_pack_weighs_line_and_disk() -> None:
    line = a_node("line", bandwidth=100)
    disk = a_node("disk", disk_left=40 * GIB, disk_capacity=100 * GIB)
    wanted = Wanted("http", bandwidth=10)
    for weights, chosen in (({"bandwidth": 1.0, "disk": 0.0}, "line"), ({"bandwidth": 0.0, "disk": 1.0}, "disk")):
        one = planner(line, disk, strategy="bin-pack", bin_pack_weights=weights)
        one.occupy("some", Stand("line", "someone", (), 50))
        assert places(one, a_waiting(1, wanted=wanted)) == {1: chosen}


def test_spread_goes_evenly_over_a_tag_whatever_the_nodes_behind_it() -> None:
    west = [a_node(f"w{number}", tags=frozenset({"zone=west"})) for number in range(3)]
    one = planner(*west, a_node("east", slots=9, tags=frozenset({"zone=east"})), strategy="spread", spread_tag="zone")
    placed = places(one, *map(a_waiting, range(1, 9)))
    assert sum(node == "east" for node in placed.values()) == 4


def test_the_fastest_node_for_an_origin_is_chosen_once_all_were_tried() -> None:
    one = planner(a_node("slow"), a_node("fast"), a_node("new"), strategy="fastest-origin")
    one.measured("slow", X, 10 << 20, 10.0)
    one.measured("fast", X, 10 << 20, 1.0)
    assert places(one, a_waiting(1, origins=(X,))) == {1: "new"}
    one.measured("new", X, 10 << 20, 5.0)
    assert places(one, a_waiting(2, origins=(X,))) == {2: "fast"}
    assert places(one, a_waiting(3, origins=(Y,))) == {3: "slow"}


def test_a_strategy_of_another_package_that_fails_gives_way_to_the_default() -> None:
    def broken(*_: object) -> tuple[float]:
        raise StrategyFailed("the strategy 'mine' failed: ZeroDivisionError()")

    one = planner(a_node())
    one.follow(Policy(), Strategy("mine", broken))
    assert places(one, a_waiting(1)) == {1: "node-a"}
    assert "mine" in one.trouble


def test_a_strategy_that_is_not_installed_is_refused_by_name() -> None:
    with pytest.raises(PolicyInvalid, match=r"strategy: there is no strategy 'mine'.*least-loaded"):
        planner(strategy="mine")


def test_no_more_run_from_an_origin_than_it_allows() -> None:
    one = planner(a_node("a"), a_node("b"), origins={"x.org": {"running": 2}})
    tasks = [a_waiting(n, origins=(X,)) for n in range(1, 6)]
    assert list(places(one, *tasks, a_waiting(9, origins=(Y,)))) == [1, 2, 9]
    one.vacate(a_task(1))
    assert list(places(one)) == [3]


def test_an_origin_that_cools_down_is_left_alone_by_all_until_it_is_over() -> None:
    one = planner(a_node("a"), a_node("b"))
    one.add(a_waiting(1, origins=(X,)))
    one.cool(X, 50.0)
    assert places(one, a_waiting(2, origins=(Y,)), now=49.0) == {2: "a"}
    assert list(places(one, now=50.0)) == [1]


def test_a_limit_that_comes_later_holds_for_what_waits_already() -> None:
    one = planner(a_node(slots=9))
    for number in range(1, 6):
        one.add(a_waiting(number, origins=(X,)))
    follow(one, origins={"*.org": {"running": 1}})
    assert list(places(one)) == [1]
    follow(one)
    assert list(places(one)) == [2, 3, 4, 5]


def test_an_owner_runs_no_more_than_it_may() -> None:
    one = planner(a_node(slots=9), owners={"ann": {"running": 2}})
    placed = places(one, *(a_waiting(n, owner="ann") for n in range(1, 6)), a_waiting(9, owner="bob"))
    assert sorted(placed) == [1, 2, 9]
    one.vacate(a_task(2))
    assert list(places(one)) == [3]


def test_owners_share_by_their_weights() -> None:
    one = planner(a_node(slots=10_000), owners={"ann": {"weight": 3}})
    for number in range(1, 20_001):
        one.add(a_waiting(number, owner="ann" if number <= 10_000 else "bob"))
    placed = [int(placed.task, 16) <= 10_000 for placed in one.plan(10_000, 0.0).placements]
    assert sum(placed) == pytest.approx(7500, abs=5)
    assert sum(placed[:100]) == pytest.approx(75, abs=1)


def test_an_owner_that_comes_late_goes_next_however_many_wait_before() -> None:
    one = planner(a_node(slots=5))
    for number in range(1, 1001):
        one.add(a_waiting(number, owner="ann"))
    one.plan(4, 0.0)
    assert places(one, a_waiting(5000, owner="bob")) == {5000: "node-a"}


def test_an_owner_that_wanted_nothing_has_earned_nothing() -> None:
    one = planner(a_node(slots=1000), owners={"*": {"weight": 1}})
    places(one, *(a_waiting(n, owner="ann") for n in range(1, 201)), limit=200)
    both = [a_waiting(n, owner="ann" if n % 2 else "bob") for n in range(1000, 1100)]
    placed = list(places(one, *both, limit=20))
    assert sum(number % 2 for number in placed) == pytest.approx(10, abs=1)


def test_what_is_less_urgent_still_gets_one_placement_in_so_many() -> None:
    one = planner(a_node(slots=10 * AGED_EVERY))
    for number in range(1, 1000):
        one.add(a_waiting(number, priority=0 if number <= 10 else 9, order=number))
    placed = list(places(one, limit=10 * AGED_EVERY))
    assert [number <= 10 for number in placed].count(True) == 10
    assert placed[AGED_EVERY - 1] == 1


def test_a_task_that_is_withdrawn_is_not_placed() -> None:
    one = planner(a_node())
    one.add(a_waiting(1))
    one.withdraw(a_task(1))
    assert places(one) == {}


@pytest.mark.parametrize(
    ("node", "wanted", "reason"),
    [
        (a_state(a_node(excluded="is cordoned: new disk")), Wanted("http"), "is cordoned: new disk"),
        (a_state(a_node()), Wanted("http", tags=frozenset({"ssd", "eu"})), "lacks the tag eu, ssd"),
        (
            a_state(a_node(tags=SSD)),
            Wanted("http", avoid_tags=SSD),
            "has the tag ssd, which the task avoids",
        ),
        (a_state(a_node()), Wanted("sftp"), "can't do sftp"),
        (
            a_state(a_node(bandwidth=1 << 20)),
            Wanted("http", bandwidth=2 << 20),
            "its line has 1 MiB/s, 2 MiB/s are asked for",
        ),
        (a_state(a_node(), assigned=4), Wanted("http"), "all 4 slots are taken"),
        (
            a_state(a_node(bandwidth=3 << 20), bandwidth_used=2 << 20),
            Wanted("http", bandwidth=2 << 20),
            "has 1 MiB/s of its 3 MiB/s left, 2 MiB/s are asked for",
        ),
        (a_state(a_node(disk_left=9)), Wanted("http"), "has only 9 B of disk left of which 64 MiB stay free"),
    ],
)
def test_a_refusal_says_why(node: NodeState, wanted: Wanted, reason: str) -> None:
    assert excluded_by(node, wanted, 0) == reason


def test_every_filter_has_its_refusal_tested() -> None:
    assert len(FILTERS) == 8
