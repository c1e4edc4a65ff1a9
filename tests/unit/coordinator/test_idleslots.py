"""Which tasks in line at nodes are asked back for slots that stay free elsewhere."""

from typing import Any

import pytest

from coordinator.idleslots import InLine, asked_back, free_slots, lasting, lines
from coordinator.plan import Planner
from coordinator.snapshot import NodeFacts, Stand, Task, Wanted
from schemas.ids import DEFAULT_OWNER
from tests.examples import GIB, a_node, a_waiting
from tests.unit.coordinator.test_plan import SSD, X, planner


def line_of(*tasks: Task, behind: NodeFacts, others: tuple[NodeFacts, ...], **policy: Any) -> tuple[Planner, set[str]]:
    """A planner in which `behind` has all its slots in use and these waiting there; who of them is asked back."""
    one = planner(behind, *others, **policy)
    for number in range(behind.slots):
        one.occupy(f"running-{number}", Stand(behind.node, "other", (), 0))
    for task in tasks:
        one.occupy(task.task, Stand(behind.node, task.owner, task.origins, 0))
    return one, chosen(one, *(InLine(task, behind.node) for task in tasks))


def chosen(one: Planner, *waiting: InLine) -> set[str]:
    return {found.task.task for found in asked_back(one, free_slots(one.nodes), lines(one.nodes), waiting)}


FULL = a_node("full", slots=2, tags=SSD)


def test_one_is_asked_back_for_each_free_slot_the_most_urgent_and_the_oldest_first() -> None:
    tasks = [a_waiting(1), a_waiting(2, priority=1), a_waiting(3), a_waiting(4)]
    _, found = line_of(*tasks, behind=FULL, others=(a_node("free", slots=2),))
    assert found == {tasks[1].task, tasks[0].task}


def test_what_is_on_its_way_back_has_a_free_slot_already() -> None:
    first, second = a_waiting(1), a_waiting(2)
    one, _ = line_of(first, second, behind=FULL, others=(a_node("free", slots=1),))
    assert chosen(one, InLine(first, "full"), InLine(second, "full", is_asked=True)) == set()


def test_a_node_keeps_what_it_could_begin_itself() -> None:
    one = planner(a_node("a", slots=4), a_node("b"))
    one.occupy(a_waiting(1).task, Stand("a", DEFAULT_OWNER, (), 0))
    assert chosen(one, InLine(a_waiting(1), "a")) == set()


@pytest.mark.parametrize(
    ("task", "other"),
    [
        ({"wanted": Wanted("http", tags=SSD)}, {}),
        ({"wanted": Wanted("http", avoid_tags=frozenset({"x"}))}, {"tags": frozenset({"x"})}),
        ({"wanted": Wanted("sftp")}, {}),
        ({"wanted": Wanted("http", bandwidth=5)}, {"bandwidth": 4}),
        ({"size": 200 * GIB}, {}),
        ({"avoid": ("free",)}, {}),
        ({}, {"excluded": "is cordoned"}),
        ({}, {"limit": 0}),
    ],
)
def test_it_stays_where_it_is_if_it_would_not_be_placed_there(task: dict[str, Any], other: dict[str, Any]) -> None:
    assert line_of(a_waiting(1), behind=FULL, others=(a_node("free"),))[1] == {a_waiting(1).task}
    assert line_of(a_waiting(1, **task), behind=FULL, others=(a_node("free", **other),))[1] == set()


def test_one_that_is_too_large_does_not_keep_a_smaller_one_from_a_slot() -> None:
    large, small = a_waiting(1, size=200 * GIB), a_waiting(2, size=GIB)
    _, found = line_of(large, small, behind=FULL, others=(a_node("free"),))
    assert found == {small.task}


def test_one_that_failed_there_does_not_keep_another_from_a_slot() -> None:
    failed, other = a_waiting(1, avoid=("free",)), a_waiting(2)
    _, found = line_of(failed, other, behind=FULL, others=(a_node("free"),))
    assert found == {other.task}


def test_a_limit_that_is_full_with_it_does_not_keep_it_but_one_that_is_exceeded_does() -> None:
    for running, expected in ((1, {a_waiting(1).task}), (2, set())):
        for policy in ({"origins": {"x.org": {"running": 1}}}, {"owners": {DEFAULT_OWNER: {"running": 1}}}):
            task = a_waiting(1, origins=(X,))
            one, _ = line_of(task, behind=FULL, others=(a_node("free"),), **policy)
            for number in range(running - 1):
                one.occupy(f"more-{number}", Stand("elsewhere", DEFAULT_OWNER, (X,), 0))
            assert chosen(one, InLine(task, "full")) == expected


def test_while_its_origin_cools_down_it_is_left_to_what_is_done_about_that() -> None:
    task = a_waiting(1, origins=(X,))
    one, _ = line_of(task, behind=FULL, others=(a_node("free"),))
    one.cool(X, 30.0)
    assert chosen(one, InLine(task, "full")) == set()


def test_a_slot_that_is_about_to_be_filled_is_not_taken_for_a_free_one() -> None:
    assert lasting({"a": 2, "b": 1, "c": 1}, {"a": 1, "c": 3}) == {"a": 1, "c": 1}
