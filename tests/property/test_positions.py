"""Positions in the queue: a task comes to stand where it is wished to, and no other is overtaken, at any moment."""

from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator import line, positions
from coordinator.line import Line
from coordinator.positions import NEIGHBOURS_MAX, SPACE, NoRoom, Plan, Slot, insert, staying, target
from schemas.control import How
from tests.examples import a_task
from tests.property.strategies import task_ids

NOW_NS = 1 << 60

orders = st.one_of(
    st.integers(0, 20),
    st.integers(NOW_NS - 30, NOW_NS + 30),
    st.integers(0, 8).map(lambda times: NOW_NS - times * SPACE),
)
"""Crowded, as it gets after many moves: equals, neighbours without room, and the very beginning."""


@st.composite
def queues(draw: st.DrawFn) -> tuple[list[Slot], list[Slot]]:
    """Others and some that are moved among them, both sorted."""
    slots = [Slot(order, a_task(number + 1)) for number, order in enumerate(draw(st.lists(orders, max_size=40)))]
    chosen = draw(st.sets(st.sampled_from(slots), min_size=1, max_size=5)) if slots else {Slot(NOW_NS, a_task(1))}
    return sorted(slot for slot in slots if slot not in chosen), sorted(chosen)


def carried_out(others: list[Slot], moving: list[Slot], plan: Plan) -> list[str]:
    """The tasks in their order once everything is written."""
    new = {slot.task: slot.order for slot in plan.shifts} | plan.orders
    return [slot.task for slot in sorted(Slot(new.get(task, order), task) for order, task in (*others, *moving))]


@given(queues(), st.data())
def test_tasks_come_to_stand_together_where_they_are_wished_to(
    queue: tuple[list[Slot], list[Slot]], data: st.DataObject
) -> None:
    others, moving = queue
    index = data.draw(st.integers(0, len(others)))
    plan = insert(others, index, moving, NOW_NS)
    moved = [slot.task for slot in moving]
    rest = [slot.task for slot in others]
    assert carried_out(others, moving, plan) == [*rest[:index], *moved, *rest[index:]]
    assert plan.positions == {task: index + rank for rank, task in enumerate(moved)}
    assert all(order > 0 for order in plan.orders.values()), "0 means: go by age"
    assert len(plan.shifts) <= NEIGHBOURS_MAX


@given(queues(), st.data())
def test_no_other_is_overtaken_however_far_the_writing_gets(
    queue: tuple[list[Slot], list[Slot]], data: st.DataObject
) -> None:
    others, moving = queue
    plan = insert(others, data.draw(st.integers(0, len(others))), moving, NOW_NS)
    stands = {slot.task: slot.order for slot in others}
    for shift in plan.shifts:
        assert stands[shift.task] != shift.order
        stands[shift.task] = shift.order
        now = sorted(Slot(order, task) for task, order in stands.items())
        assert [slot.task for slot in now] == [slot.task for slot in others]


@given(queues(), st.data())
def test_a_task_that_stands_there_already_is_not_written(
    queue: tuple[list[Slot], list[Slot]], data: st.DataObject
) -> None:
    others, moving = queue
    index = data.draw(st.integers(0, len(others)))
    plan = insert(others, index, moving, NOW_NS)
    new = {slot.task: slot.order for slot in plan.shifts} | plan.orders
    others, moving = ([Slot(new.get(task, order), task) for order, task in slots] for slots in (others, moving))
    assert insert(others, index, moving, NOW_NS) == staying(others, moving) == Plan((), {}, plan.positions)


@given(queues())
def test_a_task_that_keeps_its_order_is_told_where_it_stands(queue: tuple[list[Slot], list[Slot]]) -> None:
    others, moving = queue
    after = carried_out(others, moving, plan := staying(others, moving))
    assert {task: after.index(task) for task in plan.positions} == plan.positions


@given(st.lists(st.tuples(st.integers(0, 11), st.sampled_from(How), st.integers(-13, 13)), max_size=60))
def test_any_row_of_moves_does_what_a_list_would_do(moves: list[tuple[int, How, int]]) -> None:
    """As aria2's changePosition does: what it leaves was taken from aria2 1.37 itself, see the next test."""
    queue = [Slot(NOW_NS + number, a_task(number + 1)) for number in range(12)]
    model = [slot.task for slot in queue]
    for number, how, position in moves:
        task = a_task(number + 1)
        at = {How.SET: 0, How.CUR: model.index(task), How.END: len(model) - 1}[how] + position
        model.remove(task)
        model.insert(min(max(0, at), len(model)), task)

        others, moving = [s for s in queue if s.task != task], [s for s in queue if s.task == task]
        plan = insert(others, target(how, position, others, moving), moving, NOW_NS)
        new = {slot.task: slot.order for slot in plan.shifts} | plan.orders
        queue = sorted(Slot(new.get(task, order), task) for order, task in queue)
        assert [slot.task for slot in queue] == model
        assert plan.positions == {task: model.index(task)}


@pytest.mark.parametrize(
    ("position", "how", "lands"),
    [
        (3, How.SET, 3),
        (99, How.SET, 5),
        (-5, How.SET, 0),
        (1, How.CUR, 3),
        (-1, How.CUR, 1),
        (9, How.CUR, 5),
        (0, How.END, 5),
        (-1, How.END, 4),
        (5, How.END, 5),
        (-99, How.END, 0),
    ],
)
def test_positions_are_counted_as_aria2_counts_them(position: int, how: How, lands: int) -> None:
    """Six waiting downloads, the third is moved."""
    slots = [Slot(1000 * number, a_task(number)) for number in range(1, 7)]
    assert target(how, position, [*slots[:2], *slots[3:]], [slots[2]]) == lands


def test_the_same_gap_can_be_used_again_and_again() -> None:
    """Requests that were stored as fast as nats-server can, 400 ns apart."""
    queue = [Slot(NOW_NS + 400 * number, a_task(number + 1)) for number in range(2000)]
    written = 0
    for number in range(200):
        moved = queue[-1]
        plan = insert(queue[:-1], 1000 + number % 2, [moved], NOW_NS)
        new = {slot.task: slot.order for slot in plan.shifts} | plan.orders
        written += len(plan.shifts)
        queue = sorted(Slot(new.get(task, order), task) for order, task in queue)
    assert written < 20 * 200, "room that was made lasts for some moves"


def test_what_goes_to_the_end_goes_behind_what_is_not_claimed_yet() -> None:
    others = [Slot(NOW_NS - 10 * SPACE, a_task(1))]
    plan = insert(others, 1, [Slot(5, a_task(2)), Slot(6, a_task(3))], NOW_NS)
    assert NOW_NS < plan.orders[a_task(2)] < plan.orders[a_task(3)]


def test_what_is_submitted_a_moment_later_goes_behind_even_a_thousand_that_went_to_the_end() -> None:
    moving = [Slot(number, a_task(number)) for number in range(2, 1002)]
    plan = insert([Slot(NOW_NS - 10 * SPACE, a_task(1))], 1, moving, NOW_NS)
    assert max(plan.orders.values()) < NOW_NS + 2_000_000, "two milliseconds"


def test_more_tasks_of_one_moment_than_can_be_moved_apart_are_not_parted() -> None:
    others = [Slot(NOW_NS, a_task(number)) for number in range(1, 2 * NEIGHBOURS_MAX)]
    with pytest.raises(NoRoom, match="the front or the back"):
        insert(others, NEIGHBOURS_MAX, [Slot(1, a_task(9999))], NOW_NS)
    for index in (0, len(others)):
        assert not insert(others, index, [Slot(NOW_NS, a_task(500))], NOW_NS).shifts


def test_orders_are_whole_numbers_that_any_store_can_hold() -> None:
    others = [Slot(NOW_NS + number, a_task(number + 1)) for number in range(3)]
    plan = insert(others, 1, [Slot(NOW_NS * 2, a_task(9))], NOW_NS)
    after = sorted([*plan.shifts, *(Slot(order, task) for task, order in plan.orders.items())])
    assert all(isinstance(slot.order, int) and slot.order < 1 << 63 for slot in after)
    assert all(one.order < other.order for one, other in pairwise(after))
    assert positions.COMFORT > 1


@given(st.lists(st.tuples(orders, task_ids), max_size=60, unique_by=lambda slot: slot[1]), st.data())
async def test_a_line_is_its_slots_in_their_order(slots: list[tuple[int, str]], data: st.DataObject) -> None:
    found = Line()
    with patch.object(line, "RUN", 7):
        for order, task in slots:
            found.add(order, task)
        await found.sort()
    expected = sorted(Slot(*slot) for slot in slots)
    assert list(found) == expected
    assert len(found) == len(expected)
    start, stop = data.draw(st.integers(0, 60)), data.draw(st.integers(0, 60))
    assert found[start:stop] == expected[start:stop]
