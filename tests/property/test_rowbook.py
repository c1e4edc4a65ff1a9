"""The row book against a model: a table, a feed that lags behind it, and readings of the whole."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coordinator.rowbook import RowBook
from schemas.ids import QUEUED
from schemas.lifecycle import State
from schemas.task import StoredRow
from tests.examples import a_row, a_stored, an_assigned_row

TASKS = ("a", "b")
PLACES = (QUEUED, "node-a", "node-b")

tasks = st.sampled_from(TASKS)
places = st.sampled_from(PLACES)


class TableAndBook(RuleBasedStateMachine):
    """The table keeps one row for each task and place; its feed delivers each write, however late."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: Counter[str] = Counter()
        self.book = RowBook(lambda task: self.changed.update([task]))
        self.table: dict[tuple[str, str], StoredRow] = {}
        self.written = 0
        self.feed: list[StoredRow] = []
        self.erased: set[int] = set()
        """Deleted by this leader, which told the book."""
        self.latest_own: dict[tuple[str, str], int] = {}

    def standing(self, task: str) -> list[StoredRow]:
        return sorted(row for (of, _), row in self.table.items() if of == task)

    def write(self, task: str, place: str) -> StoredRow:
        self.written += 1
        assigned = place != QUEUED
        stored = a_stored(self.written, an_assigned_row(place, task=task) if assigned else a_row(task=task))
        self.table[task, place] = stored
        self.feed.append(stored)
        return stored

    @rule(task=tasks, place=places)
    def own_write(self, task: str, place: str) -> None:
        stored = self.write(task, place)
        self.book.learn(stored)
        self.latest_own[task, place] = stored.sequence

    @rule(task=tasks, place=places)
    def foreign_write(self, task: str, place: str) -> None:
        self.write(task, place)

    @rule(task=tasks)
    def own_delete_of_the_lowest(self, task: str) -> None:
        """As every delete of the leader: lowest first, of a row that the book knows."""
        known = self.book.all(task)
        lowest = min((row.sequence for row in self.standing(task)), default=0)
        if known and known[0].sequence <= lowest:
            self.table = {key: row for key, row in self.table.items() if row.sequence != known[0].sequence}
            self.erased.add(known[0].sequence)
            self.book.forget(task, known[0].sequence)

    @rule(task=tasks)
    def foreign_delete(self, task: str) -> None:
        if rows := self.standing(task):
            del self.table[task, rows[0].row.place]

    @precondition(lambda self: self.feed)
    @rule(count=st.integers(1, 4))
    def the_feed_delivers(self, count: int) -> None:
        delivered, self.feed = self.feed[:count], self.feed[count:]
        for stored in delivered:
            self.book.learn(stored)
            self.book.feed_passed(stored.sequence)

    @rule(task=tasks)
    def a_checked_read(self, task: str) -> None:
        self.book.replace(task, self.standing(task))
        assert self.book.all(task) == self.standing(task)

    @rule()
    def an_audit(self) -> None:
        list(self.book.audit(list(self.table.values()), self.written))
        for task in TASKS:
            assert self.book.all(task) == self.standing(task)

    @invariant()
    def what_was_erased_never_comes_back(self) -> None:
        known = {stored.sequence for task in TASKS for stored in self.book.all(task)}
        assert not known & self.erased

    @invariant()
    def no_echo_puts_an_older_row_in_the_stead_of_an_own_write(self) -> None:
        for task in TASKS:
            for stored in self.book.all(task):
                assert stored.sequence >= self.latest_own.get((task, stored.row.place), 0)

    @invariant()
    def the_count_at_each_place_is_what_a_recount_gives(self) -> None:
        counted = Counter(top.row.place for top in self.book.tops())
        assert {place: self.book.count_at(place) for place in PLACES} == {place: counted[place] for place in PLACES}

    @invariant()
    def the_top_is_the_highest_sequence(self) -> None:
        for task in TASKS:
            rows, top = self.book.all(task), self.book.top(task)
            assert (top.sequence if top else None) == max((row.sequence for row in rows), default=None)
            assert (task in self.book) == bool(rows)

    @invariant()
    def there_is_one_row_a_place_and_nothing_is_made_up(self) -> None:
        for task in TASKS:
            rows = self.book.all(task)
            assert len({row.row.place for row in rows}) == len(rows)
            assert all(row.row.task == task and row.sequence <= self.written for row in rows)

    @invariant()
    def the_desk_is_told_of_every_task_that_is_known(self) -> None:
        assert all(self.changed[task] for task in self.book.tasks())

    @invariant()
    def queued_and_assigned_rows_are_kept_as_they_are(self) -> None:
        for top in self.book.tops():
            assert (top.row.state is State.QUEUED) == (top.row.place == QUEUED)

    def teardown(self) -> None:
        """Once the feed has caught up, an audit makes the book the table, and nothing is kept for its sake."""
        self.the_feed_delivers(len(self.feed))
        self.what_was_erased_never_comes_back()
        self.an_audit()
        self.book.feed_passed(self.written)
        assert "0 awaiting their echo" in repr(self.book)


TableAndBook.TestCase.settings = settings(max_examples=100)
TestTheRowBookKeepsUpWithTheTable = TableAndBook.TestCase
