"""The read model's file, and what is put off while much is read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.readmodel.cursors import Sort
from gateway.readmodel.schema import ORDERS
from gateway.readmodel.store import PUT_OFF_BEYOND, Store
from schemas.errors import SettingInvalid
from schemas.filter import TaskFilter
from schemas.lifecycle import State
from tests.unit.gateway.changes import completed, mixed, pages, row


def open_store(path: Path) -> Store:
    return Store(str(path), 1000, lambda task, node, attempt: False)


def test_a_file_is_found_again_with_what_was_read(tmp_path: Path) -> None:
    store = open_store(tmp_path / "model")
    store.apply([row(1), completed(2, 77)])
    store.close()
    again = open_store(tmp_path / "model")
    assert (again.log_read_to, again.counts) == (77, {("o1", State.QUEUED): 1, ("o0", State.COMPLETED): 1})


def _older(path: Path) -> None:
    store = open_store(path)
    store.database.execute("PRAGMA user_version = 0")
    store.close()


def _damaged(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 60_000)


@pytest.mark.parametrize("spoil", [_older, _damaged])
def test_a_file_of_another_version_or_damaged_is_made_anew(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    store = open_store(tmp_path / "model")
    store.apply([completed(index) for index in range(200)])
    store.close()
    spoil(tmp_path / "model")
    again = open_store(tmp_path / "model")
    assert (again.log_read_to, again.counts.total()) == (0, 0)


def test_a_file_that_is_no_read_model_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear Sir")
    with pytest.raises(SettingInvalid, match="no read model"):
        open_store(tmp_path / "letter")
    assert (tmp_path / "letter").read_text() == "Dear Sir"


def test_two_gateways_do_not_share_a_file(tmp_path: Path) -> None:
    first = open_store(tmp_path / "model")
    with pytest.raises(SettingInvalid, match="a file of its own"):
        open_store(tmp_path / "model")
    first.close()


def orders(store: Store) -> set[str]:
    """Indexes of sorted listings that are there."""
    return {str(name) for (name,) in store.database.execute("SELECT name FROM sqlite_master")} & {*ORDERS}


@pytest.mark.parametrize("sort", Sort)
def test_listings_are_sorted_while_orders_are_put_off_and_after(store: Store, sort: Sort) -> None:
    store.put_off_orders(PUT_OFF_BEYOND + 1)
    assert not orders(store)
    store.apply(mixed())
    before = pages(store, TaskFilter(), sort)
    store.make_orders()
    assert orders(store) == {*ORDERS}
    assert pages(store, TaskFilter(), sort) == before


def test_rows_that_are_looked_over_again_put_no_order_off(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.readmodel.store.PUT_OFF_BEYOND", 10)
    rows = [row(index) for index in range(20)]
    store.apply(rows)
    store.put_off_orders(len(rows) + 1)  # the table's own marker is one of them
    assert orders(store) == {*ORDERS}


def test_few_changes_put_no_order_off(store: Store) -> None:
    store.put_off_orders(PUT_OFF_BEYOND)
    assert orders(store) == {*ORDERS}


def test_a_file_whose_orders_were_never_made_gets_them_when_it_is_opened(tmp_path: Path) -> None:
    file = str(tmp_path / "model.db")
    stopped = Store(file, 100, lambda *_: False)
    stopped.put_off_orders(PUT_OFF_BEYOND + 1)
    stopped.close()
    again = Store(file, 100, lambda *_: False)
    assert orders(again) == {*ORDERS}
    again.close()


def test_where_a_reading_broke_off_dismissals_are_read_from_where_it_began(tmp_path: Path) -> None:
    file = str(tmp_path / "model.db")
    stopped = Store(file, 100, lambda *_: False)
    stopped.apply([completed(1, 10)])
    assert stopped.begin_history() == 10
    stopped.apply([completed(2, 20)])
    stopped.close()
    again = Store(file, 100, lambda *_: False)
    assert (again.log_read_to, again.begin_history()) == (20, 10)
    again.end_history()
    assert again.begin_history() == 20
    again.forget_ended()
    assert again.begin_history() == 0
    again.close()
