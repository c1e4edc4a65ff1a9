"""The read model's store and its pages, over a real SQLite database."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from gateway.readmodel.changes import Dismissal, Ended, RowCame, Runs, Seen, number_of, task_of
from gateway.readmodel.cursors import Cursor, CursorInvalid, Sort, written
from gateway.readmodel.lines import Part, beginning, in_line, known, latest_results
from gateway.readmodel.live import Live
from gateway.readmodel.model import ReadModel
from gateway.readmodel.paging import STRETCH, Listing
from gateway.readmodel.store import RECENT_MAX, TRIM_BEYOND, Store
from schemas import codec
from schemas.event import Cancelled
from schemas.filter import Standing, TaskFilter
from schemas.lifecycle import State
from schemas.view import TaskView
from tests.unit.gateway.changes import BEGIN, completed, failed, mixed, name_of, pages, row


def count(store: Store, where: TaskFilter) -> int:
    return sum(Listing(store, where, Sort.NEWEST).count())


def test_an_id_is_a_number_and_back() -> None:
    assert [task_of(number_of(task) or 0) for task in ("0" * 16, "f" * 16, "0123456789abcdef")] == [
        *("0" * 16, "f" * 16, "0123456789abcdef")
    ]
    assert number_of("no task") is None


FILTERS = [
    TaskFilter(),
    TaskFilter(states=(Standing.QUEUED,)),
    TaskFilter(states=(Standing.PAUSED, Standing.COMPLETED)),
    TaskFilter(states=(Standing.ASSIGNED, Standing.COMPLETED), owners=("o1",)),
    TaskFilter(owners=("o0", "o1")),
    TaskFilter(nodes=("n1", "n2")),
    TaskFilter(tags=("gpu", "t3")),
    TaskFilter(labels=("job=j2",)),
    TaskFilter(labels=("job",), owners=("nobody",)),
    TaskFilter(origins=("host1.example.org",)),
    TaskFilter(origins=("*.example.org:443",), tags=("t1",)),
    TaskFilter(text="FILE-1"),
    TaskFilter(since=datetime(9000, 1, 1, tzinfo=UTC)),
    TaskFilter(since=datetime(1, 1, 2, tzinfo=UTC), until=datetime(2255, 1, 1, tzinfo=UTC)),
    TaskFilter(since=BEGIN + timedelta(seconds=20), until=BEGIN + timedelta(seconds=1040)),
]


@pytest.mark.parametrize("sort", Sort)
@pytest.mark.parametrize("where", FILTERS, ids=range(len(FILTERS)))
def test_pages_show_exactly_what_matches_in_order(store: Store, where: TaskFilter, sort: Sort) -> None:
    store.apply(mixed())
    views = [view for index in range(60) if (view := store.get(number_of(name_of(index)) or 0)) is not None]
    matching = {view.task: view for view in views if where.matches(view)}
    assert count(store, where) == len(matching)
    if sort is Sort.QUEUE:
        matching = {task: view for task, view in matching.items() if view.finished is None}
    shown = pages(store, where, sort)
    assert sorted(shown) == sorted(matching)
    values = [_value(matching[task], sort) for task in shown]
    assert values == sorted(values, reverse=sort.is_down)


@pytest.mark.parametrize("owner", ["", "o1", "nobody"])
@pytest.mark.parametrize("is_backwards", [False, True])
def test_parts_of_the_line_are_those_of_the_whole_line(store: Store, owner: str, is_backwards: bool) -> None:
    store.apply(mixed())
    without = {name_of(3), name_of(7)}
    whole = pages(store, TaskFilter(owners=(owner,) if owner else ()), Sort.QUEUE)
    whole = [task for task in whole if task not in without]
    whole = whole[::-1] if is_backwards else whole
    for offset, count in ((0, 100), (0, 5), (4, 7), (20, 100), (100, 1), (3, 0)):
        found = in_line(store, Part(offset, count, owner, is_backwards), [*without, "no id"])
        assert [view.task for view in found] == whole[offset : offset + count]


def test_the_latest_results_are_those_that_ended_last_the_oldest_first(store: Store) -> None:
    store.apply(mixed())
    assert [view.task for view in latest_results(store, "", 10)] == [name_of(index) for index in range(50, 60)]
    assert [view.task for view in latest_results(store, "o1", 3)] == [name_of(index) for index in (55, 57, 59)]
    assert latest_results(store, "nobody", 5) == []
    assert known(store, [name_of(1), name_of(59), "f" * 16, "x"]) == {name_of(1), name_of(59)}


def _value(view: TaskView, sort: Sort) -> Any:
    if sort.column == "key":
        return view.finished or view.submitted
    if sort is Sort.QUEUE:
        return -view.priority, view.order
    return getattr(view, {"size": "bytes"}.get(sort.column, sort.column))


def test_a_listing_shows_each_task_once_while_tasks_end(store: Store) -> None:
    store.apply([row(index) for index in range(50)])
    for sort in (Sort.NEWEST, Sort.OLDEST):
        first = Listing(store, TaskFilter(), sort).page(10)
        shown = [view.task for view in first.tasks]
        # Some that were shown and some that were not end: their moment is now later than all others.
        some = (0, 1, 2, 3, 4, 5, 45) if sort is Sort.NEWEST else (7, 8, 33, 34)
        store.apply([completed(index, 1000 + store.log_read_to + index, after_s=5000) for index in some])
        after = first.after
        while after:
            page = Listing(store, TaskFilter(), sort, after).page(10)
            shown += [view.task for view in page.tasks]
            after = page.after
        assert sorted(shown) == sorted(name_of(index) for index in range(50))


@pytest.mark.parametrize("sort", [Sort.NEWEST, Sort.OLDEST])
def test_tasks_of_one_moment_have_one_order_in_every_gateway(sort: Sort) -> None:
    tasks = [f"{number << 12:016x}" for number in range(1, 20)]  # alike in what of an id goes into its key
    stores = [Store("", 100, lambda task, node, attempt: False) for _ in range(2)]
    for store, some in zip(stores, (tasks, tasks[::-1]), strict=True):
        store.apply([Ended(codec.encode(cancelled(task)), 1 + tasks.index(task)) for task in some])
    shown: list[str] = []
    after = ""
    for turn in range(len(tasks)):
        page = Listing(stores[turn % 2], TaskFilter(), sort, after).page(4)
        shown += [view.task for view in page.tasks]
        if not (after := page.after):
            break
    assert shown == sorted(tasks, reverse=sort.is_down)


def cancelled(task: str) -> Cancelled:
    return Cancelled(task=task, owner="o0", time=BEGIN)


def test_what_is_no_outcome_is_passed_over(store: Store) -> None:
    store.apply([Ended(b"{", 1), Ended(b'{"type":"finished.completed","task":"00000000000000aa"}', 2), completed(3, 3)])
    unknown = msgspec.json.decode(completed(4).body) | {"type": "finished.otherwise"}
    half = msgspec.json.decode(completed(5).body)
    del half["path"]
    store.apply([Ended(codec.encode(unknown), 5), Ended(codec.encode(half), 6)])
    assert pages(store, TaskFilter()) == [name_of(3)]
    assert store.get(number_of(name_of(5)) or 0) is None
    assert store.log_read_to == 6


def test_an_outcome_outweighs_rows_that_come_after_it(store: Store) -> None:
    store.apply([row(1), completed(1, 5), row(1, 900)])
    view = store.get(number_of(name_of(1)) or 0)
    assert view is not None
    assert view.state is State.COMPLETED


def test_the_highest_sequence_of_a_task_is_true(store: Store) -> None:
    store.apply([row(1, 9, state=State.ASSIGNED, place="n1"), row(1, 4)])
    assert count(store, TaskFilter(nodes=("n1",))) == 1
    assert store.counts == {("o1", State.ASSIGNED): 1}


def test_what_a_node_runs_is_active_until_it_says_otherwise(store: Store) -> None:
    store.apply([row(1, 9, state=State.ASSIGNED, place="n1"), Runs(name_of(1), 1, "n1", active=True)])
    assert [count(store, TaskFilter(states=(state,))) for state in (Standing.ACTIVE, Standing.ASSIGNED)] == [1, 0]
    store.apply([Runs(name_of(1), 2, "n1", active=False), Runs(name_of(1), 1, "n2", active=False)])
    assert store.counts == {("o1", State.ACTIVE): 1}
    store.apply([Runs(name_of(1), 1, "n1", active=False)])
    assert pages(store, TaskFilter(states=(Standing.ASSIGNED,))) == [name_of(1)]


def test_a_dismissed_task_is_gone_and_stays_gone(store: Store) -> None:
    store.apply([completed(1, 5), Dismissal(name_of(1), 6), row(1, 7), completed(1, 5)])
    assert (store.get(number_of(name_of(1)) or 0), pages(store, TaskFilter())) == (None, [])


def test_a_live_task_is_not_dismissed(store: Store) -> None:
    store.apply([row(1), Dismissal(name_of(1), 6)])
    assert pages(store, TaskFilter()) == [name_of(1)]


def test_only_the_latest_that_ended_are_kept() -> None:
    store = Store("", 10, lambda task, node, attempt: False)
    store.apply([row(5000)] + [completed(index) for index in range(TRIM_BEYOND + 12)])
    assert pages(store, TaskFilter(), limit=100) == [
        *(name_of(5000),),
        *(name_of(index) for index in reversed(range(TRIM_BEYOND + 2, TRIM_BEYOND + 12))),
    ]
    assert count(store, TaskFilter(tags=("gpu",))) == 11
    store.apply([row(3, 9000)])  # its last row, late
    assert store.get(number_of(name_of(3)) or 0) is None
    assert RECENT_MAX > TRIM_BEYOND


def test_rows_that_left_the_table_without_an_outcome_are_forgotten(store: Store) -> None:
    store.apply([row(1), row(2), row(3), row(9, 99), completed(4)])
    store.begin_reading()
    store.apply([Seen(name_of(1))])
    assert store.finish_reading(50) == 2
    assert sorted(pages(store, TaskFilter())) == sorted(map(name_of, (1, 9, 4)))


def test_what_the_log_does_not_hold_any_more_is_forgotten(store: Store) -> None:
    store.apply([row(9), completed(1), completed(2), completed(3)])
    store.forget_before(4)
    assert sorted(pages(store, TaskFilter())) == sorted(map(name_of, (9, 3)))
    assert store.counts.total() == 2


def test_a_batch_that_fails_changes_nothing(store: Store) -> None:
    store.apply([row(1)])
    with pytest.raises(AttributeError):
        store.apply([completed(1), RowCame(None)])  # type: ignore[arg-type]
    assert (store.counts, store.log_read_to) == ({("o1", State.QUEUED): 1}, 0)
    assert pages(store, TaskFilter(states=(Standing.QUEUED,))) == [name_of(1)]
    store.apply([row(2)])
    assert count(store, TaskFilter()) == len(pages(store, TaskFilter())) == 2


def test_text_is_found_whatever_its_case(store: Store) -> None:
    store.apply([failed(1), completed(2)])
    for text in ("STRASSE", "straße", "server schliesst"):
        assert pages(store, TaskFilter(text=text)) == [name_of(1)]


def test_where_few_match_a_page_ends_early_and_the_next_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.readmodel.paging.WITHIN_S", -1.0)
    store.apply([completed(index) for index in range(STRETCH + 50)])
    where = TaskFilter(text="file-7.iso")
    first = Listing(store, where, Sort.NEWEST).page(10)
    assert (first.tasks, bool(first.after)) == ([], True)
    assert pages(store, where) == [name_of(7)]
    assert pages(store, where, Sort.NAME) == [name_of(7)]


@pytest.mark.parametrize("after", ["?", "AAAA", "k6QtdGltZQ"])
def test_a_cursor_of_nowhere_is_refused(store: Store, after: str) -> None:
    with pytest.raises(CursorInvalid, match="`after`"):
        Listing(store, TaskFilter(), Sort.NEWEST, after)


def test_a_cursor_of_another_order_is_refused(store: Store) -> None:
    store.apply([row(1), row(2)])
    after = Listing(store, TaskFilter(), Sort.NAME).page(1).after
    with pytest.raises(CursorInvalid, match="same order"):
        Listing(store, TaskFilter(), Sort.NEWEST, after)


@pytest.mark.parametrize("values", [(1 << 63, 1, 1), (1, 1 << 63, 1), (1, 1, (1 << 64) - 1)])
def test_a_cursor_with_numbers_that_no_listing_has_is_refused(store: Store, values: tuple[int, int, int]) -> None:
    store.apply(mixed())
    seen_to, value, task = values
    with pytest.raises(CursorInvalid):
        Listing(store, TaskFilter(), Sort.SIZE, written(Cursor(Sort.SIZE, seen_to, value, task)))


async def test_what_could_not_be_stored_is_not_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ReadModel(NotImplemented, 100, Live(), store)
    stored = row(1)
    model.row_came(stored.stored)
    with monkeypatch.context() as broken, pytest.raises(OSError, match="full"):
        broken.setattr(store, "apply", Mock(side_effect=OSError("disk full")))
        await model.settle()
    assert await model.get(name_of(1)) is not None


def test_tasks_are_found_by_the_beginning_of_their_ids(store: Store) -> None:
    store.apply(mixed())
    every = [name_of(index) for index in range(60) if store.get(number_of(name_of(index)) or 0) is not None]
    for start in ("", every[0][:1], every[0][:8], every[0], "f" * 16):
        meant = {task for task in every if task.startswith(start)}
        assert {view.task for view in beginning(store, start, "", 100)} == meant
        owned = {view.task for view in beginning(store, start, "o1", 100)}
        assert owned == {task for task in meant if (view := store.get(number_of(task) or 0)) and view.owner == "o1"}
    assert len(beginning(store, "", "", 2)) == 2


def test_a_line_that_can_not_be_read_is_left_out_of_the_results(store: Store) -> None:
    store.apply([completed(1), completed(2)])
    store.database.execute("UPDATE tasks SET body = ? WHERE task = ?", (b"\xc1", number_of(name_of(1))))
    assert [view.task for view in latest_results(store, "", 10)] == [name_of(2)]
