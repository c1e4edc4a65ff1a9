"""Disk that is spoken for before its node knows."""

from types import SimpleNamespace
from typing import Any

from coordinator import moves
from coordinator.desk import Desk
from coordinator.fleet import Fleet
from coordinator.promises import BEATS, Promises
from coordinator.rowbook import RowBook
from coordinator.wants import task_of
from schemas.task import StoredRow
from tests.examples import GIB, a_heartbeat, a_request, a_row, a_stored, a_task


def test_what_was_placed_under_a_heartbeat_counts_until_the_node_counts_it() -> None:
    promises = Promises()
    promises.make("a", "i1", 5, "t1", 100)
    promises.make("a", "i1", 5, "t2", 10)
    promises.make("a", "i1", 6, "t3", 1)
    assert [promises.at("a", "i1", beat) for beat in (5, 6, 5 + BEATS, 6 + BEATS)] == [111, 111, 1, 0]


def test_each_node_has_its_own() -> None:
    promises = Promises()
    promises.make("a", "i1", 5, "t4", 100)
    assert promises.at("b", "i1", 5) == 0
    assert promises.at("a", "i1", 5) == 100


def test_a_new_process_counts_for_itself() -> None:
    promises = Promises()
    promises.make("a", "i1", 500, "t5", 100)
    assert promises.at("a", "i2", 1) == 0
    assert repr(promises) == "<Promises to 0 nodes>"


def test_a_task_that_is_placed_again_or_not_at_all_is_promised_once_or_never() -> None:
    promises = Promises()
    for _ in range(8):
        promises.make("a", "i1", 5, "task", 100)
    assert promises.at("a", "i1", 5) == 100
    promises.drop("a", "task")
    assert promises.at("a", "i1", 5) == 0


def test_an_unknown_size_promises_nothing() -> None:
    promises = Promises()
    promises.make("a", "i1", 5, "t6", 0)
    assert repr(promises) == "<Promises to 0 nodes>"


def test_the_desk_counts_a_promise_before_the_nodes_next_heartbeat() -> None:
    """Each plan looks at the same heartbeat: together they must not promise more than there is."""
    clock, fleet = SimpleNamespace(now=lambda: 0.0), Fleet(0.0)
    book = RowBook(lambda _: None)
    desk = Desk(book, fleet, clock, lost_after_s=10.0)  # type: ignore[arg-type]
    fleet.hear(a_heartbeat(disk_free_bytes=10 * GIB, disk_low_bytes=GIB, capabilities=("http",)), 0.0)

    desk.heard("node-a")

    def placed(number: int, **request: Any) -> bool:
        book.learn(a_stored(number, task=a_task(number), request=a_request(**request)))
        desk.row_changed(a_task(number))
        placements = desk.plan(0.0, 9)
        for placement in placements:
            row = moves.placed(a_row(task=a_task(number), request=a_request(**request)), placement.node, "i")
            book.learn(StoredRow(100 + number, row, 0.0))
            desk.release(placement)
        return bool(placements)

    assert placed(1, size=6 * GIB)
    assert not placed(2, size=4 * GIB)
    fleet.hear(a_heartbeat(beat=3, disk_free_bytes=10 * GIB, disk_low_bytes=GIB, capabilities=("http",)), 2.0)
    desk.heard("node-a")
    assert desk.plan(2.0, 9), "the node counts for itself now: it has ended there"


def test_a_node_that_does_not_know_its_share_of_a_limit_gets_nothing_until_it_does() -> None:
    clock, fleet = SimpleNamespace(now=lambda: 0.0), Fleet(0.0)
    book = RowBook(lambda _: None)
    desk = Desk(book, fleet, clock, lost_after_s=10.0)  # type: ignore[arg-type]
    desk.may_take = lambda node: False
    fleet.hear(a_heartbeat(disk_free_bytes=10 * GIB, disk_low_bytes=GIB, capabilities=("http",)), 0.0)
    desk.heard("node-a")
    book.learn(a_stored(1, task=a_task(1), request=a_request()))
    desk.row_changed(a_task(1))
    assert desk.plan(0.0, 9) == []
    assert desk.excluded("node-a", "") == "does not know its share of the limit on bandwidth yet"
    desk.may_take = lambda node: True
    desk.heard("node-a")
    assert len(desk.plan(0.0, 9)) == 1


def test_a_size_that_only_a_node_knew_is_planned_with() -> None:
    row = a_row(size=7)
    assert task_of(a_stored(1, row)).size == 7
    assert task_of(a_stored(1, row, request=a_request(size=9))).size == 9
