"""What changes while tasks wait is known to whatever they wait behind."""

import pytest

from coordinator.gates import SWEEP_EVERY
from coordinator.plan import Planner
from coordinator.snapshot import Stand, Wanted
from tests.examples import a_node, a_task, a_waiting
from tests.unit.coordinator.test_plan import X, Y, follow, places, planner


def test_a_limit_that_goes_from_one_mirror_to_another_holds_for_what_waits_already() -> None:
    one = planner(a_node(slots=9), origins={"x.org": {"running": 1}})
    assert list(places(one, *(a_waiting(number, origins=(X, Y)) for number in range(1, 5)))) == [1]
    follow(one, origins={"y.org": {"running": 2}})
    assert list(places(one)) == [2]


def test_a_mirror_that_asks_to_be_left_alone_after_another_is_left_alone() -> None:
    one = planner(a_node())
    one.cool(X, 5.0)
    assert places(one, a_waiting(1, origins=(X, Y)), now=1.0) == {}
    one.cool(Y, 600.0)
    assert places(one, now=6.0) == {}
    assert list(places(one, now=600.0)) == [1]


def test_a_kind_of_which_none_waited_for_a_while_is_still_told_of_what_it_waits_for() -> None:
    """One empty kind behind a gate was thrown out there, and stayed with its owner as one that waits for the gate."""
    one = planner(a_node(slots=2 * SWEEP_EVERY), origins={"x.org": {"running": 1}})
    nowhere = a_waiting(2, owner="ann", wanted=Wanted("http", tags=frozenset({"nowhere"})))
    assert list(places(one, a_waiting(1, origins=(X,)))) == [1]
    assert places(one, nowhere, a_waiting(3, owner="ann", origins=(X,))) == {}
    one.withdraw(a_task(3))
    others = range(10, 10 + SWEEP_EVERY)
    places(one, *(a_waiting(number, owner=f"owner-{number}", origins=(X,)) for number in others))
    for number in others:
        one.withdraw(a_task(number))
    assert places(one, a_waiting(4, owner="ann", origins=(X,))) == {}
    one.vacate(a_task(1))
    assert list(places(one)) == [4]


@pytest.mark.parametrize("weight", [0.01, 1, 1000])
def test_an_owner_that_was_held_up_keeps_anothers_first_waiting_for_no_longer_than_others_do(weight: float) -> None:
    owners = {name: {"weight": weight} for name in ("ann", "bob", "cy")}
    one = planner(a_node(slots=2000), owners=owners | {"ann": {"weight": weight, "running": 1}})
    for number in range(1, 401):
        one.add(a_waiting(number, owner="ann" if number % 2 else "cy"))
    one.plan(150, 0.0)
    follow(one, owners=owners)
    placed = list(places(one, a_waiting(1000, owner="bob")))
    assert placed.index(1000) <= 3


def test_a_weight_that_falls_takes_nobodys_turn() -> None:
    one = planner(a_node(slots=2000), owners={"ann": {"weight": 100, "running": 1}, "cy": {"weight": 100}})
    for number in range(1, 401):
        one.add(a_waiting(number, owner="ann" if number % 2 else "cy"))
    one.plan(150, 0.0)
    follow(one, owners={"ann": {"weight": 1}, "cy": {"weight": 1}})
    placed = list(places(one, limit=100))
    assert sum(number % 2 for number in placed) == pytest.approx(50, abs=2)


def _two_zones() -> Planner:
    """Zone a has more tasks than zone b for now, all of them at its second node."""
    nodes = [
        a_node(f"{zone}{number}", slots=20, tags=frozenset({f"zone={zone}"})) for zone in "ab" for number in (1, 2)
    ]
    one = planner(*nodes, strategy="spread", spread_tag="zone")
    for number in range(8):
        one.occupy(f"old-{number}", Stand("a2" if number < 5 else "b1", "someone", (), 0))
    assert places(one, a_waiting(1)) == {1: "b2"}
    return one


def test_a_node_that_leaves_takes_its_tasks_out_of_its_zone() -> None:
    one = _two_zones()
    one.drop_node("a2")
    assert places(one, a_waiting(2)) == {2: "a1"}


def test_a_node_that_goes_to_another_zone_takes_its_tasks_along() -> None:
    one = _two_zones()
    one.set_node(a_node("a2", slots=20, tags=frozenset({"zone=c"})))
    assert places(one, a_waiting(2)) == {2: "a1"}
