"""Bounded waiting: what needs several things at once gets them, though others never leave them free together."""

import pytest

from coordinator.claims import CLAIM_EVERY
from coordinator.plan import Planner
from coordinator.snapshot import Task, Wanted
from coordinator.verdicts import explain
from tests.examples import a_node, a_task, a_waiting
from tests.unit.coordinator.test_plan import X, Y, follow, places, planner

OLDEST = 10**6


def overtakings(one: Planner, first: list[Task], oldest: Task) -> int:
    """Placements before the oldest is placed, where each task that ends is followed by one of its kind."""
    assert list(places(one, *first)) == [int(task.task, 16) for task in first]
    assert places(one, oldest) == {}
    running, number = dict(enumerate(first)), 10
    for count in range(4 * CLAIM_EVERY):
        ends = running.pop(count % 2, None)
        if ends is not None:
            one.vacate(ends.task)
            number += 1
            wanted = ends.wanted
            one.add(a_waiting(number, owner="bob", priority=10, order=number, wanted=wanted, origins=ends.origins))
        placed = list(places(one))
        if OLDEST in placed:
            return count
        if placed:
            running[count % 2] = a_waiting(placed[0], wanted=first[count % 2].wanted, origins=first[count % 2].origins)
    pytest.fail("the oldest still waits")


def test_a_task_of_two_origins_that_each_allow_one_is_not_overtaken_for_ever() -> None:
    one = planner(a_node(slots=9), origins={"*": {"running": 1}})
    first = [a_waiting(1, origins=(X,)), a_waiting(2, origins=(Y,))]
    oldest = a_waiting(OLDEST, priority=-10, order=0, origins=(X, Y))
    assert overtakings(one, first, oldest) <= CLAIM_EVERY + 4


def test_a_task_that_asks_for_a_whole_line_is_not_overtaken_for_ever_by_what_asks_for_half_of_it() -> None:
    half = Wanted("http", bandwidth=5)
    one = planner(a_node(slots=9, bandwidth=10))
    first = [a_waiting(1, wanted=half), a_waiting(2, wanted=half)]
    oldest = a_waiting(OLDEST, priority=-10, order=0, wanted=Wanted("http", bandwidth=10))
    assert overtakings(one, first, oldest) <= CLAIM_EVERY + 4
    node = one.node("node-a")
    assert node is not None
    assert node.bandwidth_used == 10


def test_a_task_of_an_owner_and_an_origin_that_each_allow_one_is_not_overtaken_for_ever() -> None:
    one = Planner(claim_every=1)
    follow(one, owners={"ann": {"running": 1}}, origins={"x.org": {"running": 1}})
    one.set_node(a_node(slots=9))
    first = [a_waiting(1, owner="ann", origins=(Y,)), a_waiting(2, owner="bob", origins=(X,))]
    assert list(places(one, *first, a_waiting(9, owner="ann", order=0, priority=-1, origins=(X,)))) == [1, 2]
    one.vacate(a_task(1))
    assert places(one, a_waiting(3, owner="ann", origins=(Y,))) == {}
    one.vacate(a_task(2))
    assert list(places(one)) == [9]


def claimed() -> Planner:
    """One place of each origin is kept for task 9."""
    one = Planner(claim_every=1)
    follow(one, origins={"*": {"running": 1}})
    one.set_node(a_node(slots=9))
    tasks = [a_waiting(1, origins=(X,)), a_waiting(2, origins=(Y,))]
    places(one, *tasks, a_waiting(9, order=0, priority=-1, origins=(X, Y)))
    assert places(one, a_waiting(3, origins=(X,))) == {}
    assert one.kept is not None
    assert one.kept.task == a_task(9)
    one.vacate(a_task(1))
    assert places(one) == {}
    return one


def test_what_is_kept_is_kept_until_the_rest_is_there() -> None:
    one = claimed()
    one.vacate(a_task(2))
    assert list(places(one)) == [9]
    assert one.kept is None or one.kept.task != a_task(9)


def test_explain_says_for_whom_a_place_is_kept() -> None:
    [said] = explain(claimed(), a_waiting(3, origins=(X,)), 0.0).waits_for
    assert said == f"{X} has its last place kept for {a_task(9)}, which has waited longest for several things"


def test_nothing_is_kept_for_a_task_that_waits_no_more() -> None:
    one = claimed()
    one.withdraw(a_task(9))
    assert list(places(one)) == [3]


def test_nothing_is_kept_for_a_task_that_no_node_could_have() -> None:
    one = claimed()
    one.add(a_waiting(4, origins=(X,), wanted=Wanted("sftp")))
    one.set_node(a_node(slots=9, capabilities=frozenset({"sftp"})))
    assert list(places(one)) == [4]


def test_nothing_is_kept_while_an_origin_of_the_task_cools_down() -> None:
    one = claimed()
    one.cool(Y, 100.0)
    assert list(places(one, now=1.0)) == [3]
