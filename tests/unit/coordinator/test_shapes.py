"""Nodes that change their shape while tasks are placed by it."""

import pytest

from coordinator import orders
from coordinator.plan import Planner
from coordinator.snapshot import NodeFacts, Task, Wanted

FAST = Wanted("http", tags=frozenset({"fast"}))
FAST_ON_TWO = Wanted("http", tags=frozenset({"fast"}), prefer_tags=frozenset({"n1", "n2"}))


def node(name: str, *tags: str, excluded: str = "") -> NodeFacts:
    can = frozenset({"http"})
    return NodeFacts(
        node=name, instance="i", slots=9, limit=9, tags=frozenset(tags), capabilities=can, excluded=excluded
    )


def waiting(number: int, wanted: Wanted) -> Task:
    return Task(task=f"t{number}", owner="ann", priority=0, order=number, sequence=number, wanted=wanted)


def placed(planner: Planner) -> list[str]:
    return [placement.node for placement in planner.plan(9, 0.0).placements]


def test_a_node_may_leave_its_shape_and_stand_where_it_stood() -> None:
    """Its old shape and its new one were ordered by the same key, and a leader died of comparing them."""
    planner = Planner()
    for name in ("n1", "n2"):
        planner.set_node(node(name, "fast", name))
    for number in (1, 2):
        planner.add(waiting(number, Wanted("http", tags=frozenset({"fast"}), prefer_tags=frozenset({"n1", "n2"}))))
    found = placed(planner)
    for number in range(3, 9):
        for name in ("n1", "n2"):
            planner.set_node(node(name, "fast", name, excluded="is cordoned"))
            planner.set_node(node(name, "fast", name))
        planner.add(waiting(number, FAST))
        found += placed(planner)

    assert sorted(found) == ["n1"] * 4 + ["n2"] * 4


@pytest.mark.parametrize("scanned_max", [0, orders.SCANNED_MAX])
def test_a_shape_of_which_a_node_got_room_comes_first_again(scanned_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a heap says which shape comes first, or all are looked at."""
    monkeypatch.setattr(orders, "SCANNED_MAX", scanned_max)
    planner = Planner()
    for name in ("n1", "n2"):
        planner.set_node(node(name, "fast", name))
    for number in range(6):
        planner.add(waiting(number, FAST_ON_TWO))
    assert placed(planner) == ["n1", "n2"] * 3
    for number in (1, 3, 5):
        planner.vacate(f"t{number}")
    planner.add(waiting(6, FAST_ON_TWO))
    assert placed(planner) == ["n2"]
    for number in (0, 2, 4):
        planner.vacate(f"t{number}")
    planner.add(waiting(7, FAST_ON_TWO))
    assert placed(planner) == ["n1"]
