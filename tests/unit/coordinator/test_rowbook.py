"""The leader's view of the table, by example."""

import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks.book import Taken
from coordinator.rowbook import Audit, RowBook
from schemas import codec
from schemas.ids import QUEUED
from schemas.task import StoredRow
from tests.examples import TASK, a_row, a_stored, an_assigned_row

CHECKOUT = Path(__file__).parent.parent.parent.parent
HERE, THERE = "node-a", "node-b"


def sequences(book: RowBook) -> list[int]:
    return [stored.sequence for stored in book.all(TASK)]


def a_book_after_a_move() -> RowBook:
    """Queued at 1, then written to node-a at 2; the old row still stands."""
    book = RowBook()
    book.learn(a_stored(1, a_row()))
    book.learn(a_stored(2, an_assigned_row(HERE)))
    return book


def read_whole(book: RowBook, *found: StoredRow, seen_to: int) -> None:
    """Take a reading of the table that includes everything up to `seen_to`."""
    show(book.audit(), *found, seen_to=seen_to)


def show(audit: Audit, *found: StoredRow, seen_to: int) -> None:
    for stored in found:
        if not audit.knows(stored.row.task, stored.sequence, stored.stored_at):
            audit.take([(stored, codec.encode(stored.row))])
    list(audit.finish(seen_to))


def test_of_two_rows_the_higher_is_true() -> None:
    book = a_book_after_a_move()
    top = book.top(TASK)
    assert top is not None
    assert (top.sequence, top.row.place) == (2, HERE)
    assert sequences(book) == [1, 2]


def test_a_task_is_counted_once_where_its_true_row_stands() -> None:
    book = a_book_after_a_move()
    assert (book.count_at(QUEUED), book.count_at(HERE), len(book)) == (0, 1, 1)


def test_a_row_that_was_deleted_is_not_brought_back_by_its_echo() -> None:
    book = a_book_after_a_move()
    book.forget(TASK, 1)
    book.learn(a_stored(1, a_row()))
    assert sequences(book) == [2]


def test_a_newer_row_at_the_same_place_takes_the_others_stead() -> None:
    book = a_book_after_a_move()
    book.vouched.add(2)
    book.learn(a_stored(3, an_assigned_row(HERE, attempt=2)))
    assert sequences(book) == [1, 3]
    assert not book.vouched


def test_an_older_row_at_the_same_place_is_no_news() -> None:
    book = RowBook()
    book.learn(a_stored(5, a_row()))
    book.learn(a_stored(4, a_row()))
    assert sequences(book) == [5]


def test_a_new_row_of_a_task_that_was_deleted_is_news() -> None:
    book = RowBook()
    book.learn(a_stored(1, a_row()))
    book.forget(TASK, 1)
    book.learn(a_stored(2, a_row()))
    assert sequences(book) == [2]


def test_what_a_checked_read_does_not_find_is_gone() -> None:
    book = a_book_after_a_move()
    book.replace(TASK, [a_stored(3, an_assigned_row(THERE))])
    assert sequences(book) == [3]
    book.replace(TASK, [])
    assert TASK not in book


def test_an_audit_drops_only_what_it_could_have_seen() -> None:
    book = a_book_after_a_move()
    read_whole(book, seen_to=1)
    assert sequences(book) == [2]


def test_an_audit_that_began_before_a_delete_does_not_bring_the_row_back() -> None:
    book = a_book_after_a_move()
    audit = book.audit()
    book.forget(TASK, 1)
    show(audit, a_stored(1, a_row()), a_stored(2, an_assigned_row(HERE)), seen_to=2)
    assert sequences(book) == [2]


def a_book_without_the_task() -> tuple[RowBook, StoredRow]:
    """It was given to node-a at 1, written there again at 2 and deleted, and the feed is late; and the row at 1."""
    book, first = RowBook(), a_stored(1, an_assigned_row(HERE))
    book.learn(first)
    book.learn(a_stored(2, an_assigned_row(HERE)))
    book.forget(TASK, 2)
    return book, first


def test_what_an_audit_shows_after_its_delete_was_answered_stands_again() -> None:
    """A broker that was killed forgot that it is gone."""
    book, first = a_book_without_the_task()
    read_whole(book, first, seen_to=2)
    assert sequences(book) == [1]
    assert 1 not in book.vouched


def test_what_a_checked_read_finds_after_its_delete_was_answered_stands_again() -> None:
    book, first = a_book_without_the_task()
    book.replace(TASK, [first], deleted=book.deleted(TASK))
    assert sequences(book) == [1]


def test_what_is_deleted_while_a_row_is_read_is_not_brought_back_by_it() -> None:
    book = a_book_after_a_move()
    deleted = book.deleted(TASK)
    book.forget(TASK, 1)
    book.replace(TASK, [a_stored(1, a_row()), a_stored(2, an_assigned_row(HERE))], deleted=deleted)
    assert sequences(book) == [2]


def test_deletes_are_remembered_only_until_the_feed_has_passed_them() -> None:
    book = a_book_after_a_move()
    book.forget(TASK, 1)
    assert repr(book) == "<RowBook 1 tasks, 1 awaiting their echo>"
    book.feed_passed(1)
    assert repr(book) == "<RowBook 1 tasks, 0 awaiting their echo>"


def test_only_news_is_told() -> None:
    told: list[str] = []
    book = RowBook(told.append)
    book.learn(a_stored(1, a_row()))
    book.learn(a_stored(1, a_row()))
    book.forget(TASK, 9)
    assert told == [TASK]


def test_the_store_time_of_an_own_write_is_corrected_by_its_echo() -> None:
    book = RowBook()
    book.learn(a_stored(1, a_row()))
    book.learn(a_stored(1, a_row())._replace(stored_at=5.0))
    top = book.top(TASK)
    assert top is not None
    assert top.stored_at == 5.0


def test_a_task_in_the_queue_takes_at_most_600_bytes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.book", "40000"], cwd=CHECKOUT, capture_output=True, check=True, timeout=120
    )
    taken = msgspec.json.decode(done.stdout, type=Taken)
    assert taken.bytes_per_task <= 600


def test_an_audit_that_is_given_up_drops_nothing() -> None:
    book = a_book_after_a_move()
    audit = book.audit()
    audit.take([(stored := a_stored(3, an_assigned_row(THERE)), codec.encode(stored.row))])
    del audit
    assert sequences(book) == [1, 2, 3]


def test_a_row_that_was_learned_is_not_unpacked_for_who_is_told_of_it() -> None:
    stored, found = a_stored(1, a_row()), []
    book = RowBook(lambda task: found.append(book.top(task)))
    book.learn(stored)
    assert found[0] is stored
