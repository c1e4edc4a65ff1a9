"""Rows that come together, as at a takeover, come to the same as one by one."""

from types import SimpleNamespace

import pytest

from coordinator import desk
from coordinator.desk import Desk
from coordinator.fleet import Fleet
from coordinator.rowbook import RowBook
from schemas import codec
from schemas.lifecycle import Desired
from schemas.task import StoredRow
from tests.examples import TASK, a_row, a_stored, a_task, an_assigned_row

NOW = 100.0


def with_bodies(*rows: StoredRow) -> list[tuple[StoredRow, bytes]]:
    return [(stored, codec.encode(stored.row)) for stored in rows]


def a_desk(book: RowBook) -> Desk:
    clock = SimpleNamespace(now=lambda: NOW)
    return Desk(book, Fleet(0.0), clock, lost_after_s=10.0)  # type: ignore[arg-type]


def test_who_is_told_hears_of_new_tasks_together_and_of_a_second_row_after_the_first() -> None:
    told: list[list[int] | str] = []
    book = RowBook(told.append, lambda rows: told.append([stored.sequence for stored in rows]))
    moved = an_assigned_row(task=a_task(2))
    book.learn_all(with_bodies(*(a_stored(n, task=a_task(n)) for n in (1, 2)), a_stored(3, moved), a_stored(4)))
    assert [one for one in told if one] == [[1, 2], a_task(2), [4]]
    assert [stored.sequence for stored in book.all(a_task(2))] == [2, 3]


def test_a_row_known_to_be_gone_does_not_come_back_with_others() -> None:
    book = RowBook()
    book.forget(TASK, 5)
    book.learn_all(with_bodies(a_stored(5), a_stored(6, task=a_task(6))))
    assert set(book.tasks()) == {a_task(6)}


def test_only_what_may_be_placed_now_waits_to_be_placed() -> None:
    book = RowBook()
    rows = [
        a_stored(1, task=a_task(1)),
        a_stored(2, task=a_task(2), desired=Desired.PAUSE),
        a_stored(3, task=a_task(3), delay_s=NOW + 1),
        a_stored(4, an_assigned_row(task=a_task(4))),
    ]
    book.learn_all(with_bodies(*rows))
    together, one_by_one = a_desk(book), a_desk(book)
    together.rows_came(rows)
    for stored in rows:
        one_by_one.row_changed(stored.row.task)
    assert [stored.row.task in together.planner.pending for stored in rows] == [True, False, False, False]
    assert repr(together) == repr(one_by_one)
    assert together.planner.stands(a_task(4)) is not None


def test_a_paused_task_takes_no_slot_of_its_node_unless_that_holds_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "HELD_MAX", 2)
    book = RowBook()
    one = a_desk(book)
    for number in (1, 2, 3):
        row = an_assigned_row(task=a_task(number), desired=Desired.PAUSE)
        book.learn_all(with_bodies(a_stored(number, row)))
        one.row_changed(a_task(number))
    stands = [one.planner.stands(a_task(number)) for number in (1, 2, 3)]
    assert [stand.node for stand in stands if stand is not None] == ["", "", "node-a"]
    assert all(stand is not None and stand.origins for stand in stands), "it counts against the limits of its origin"
    book.learn_all(with_bodies(a_stored(4, an_assigned_row(task=a_task(1)))))
    one.row_changed(a_task(1))
    assert one.planner.assigned("node-a") == 2, "and goes on in a slot"


def test_a_row_in_the_queue_is_kept_to_the_letter() -> None:
    book, row = RowBook(), a_row(avoid=("node-b",), delay_s=1.5)
    book.learn_all(with_bodies(a_stored(1, row)))
    top = book.top(TASK)
    assert top is not None
    assert top.row == row
