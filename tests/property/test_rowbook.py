"""The row book against a plain one: a table, a feed that lags behind it, and readings of the whole."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coordinator.rowbook import Audit, RowBook
from schemas import codec
from schemas.ids import QUEUED
from schemas.lifecycle import Desired, Outcome, State
from schemas.task import StoredRow
from tests.examples import NOON, a_request, a_row, a_stored
from tests.property.plainbook import PlainBook

TASKS = ("a", "b", "c")
PLACES = (QUEUED, "node-a", "node-b")
HOUR = timedelta(hours=1)

tasks = st.sampled_from(TASKS)
places = st.sampled_from(PLACES)
moments = st.sampled_from([None, NOON - HOUR, NOON, NOON + HOUR / 7200, NOON + HOUR])
looks = st.fixed_dictionaries(
    {
        "ends": st.booleans(),
        "desired": st.sampled_from([Desired.RUN, Desired.PAUSE, Desired.CANCEL, Desired.RELEASE]),
        "then": st.sampled_from([Desired.RUN, Desired.PAUSE]),
        "deadline": moments,
        "submitted": moments,
        "stored_at": st.sampled_from([0.0, 1.5, NOON.timestamp()]),
    }
)


class TableAndBook(RuleBasedStateMachine):
    """The table keeps one row for each task and place; its feed delivers each write, however late."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: Counter[str] = Counter()
        self.book = RowBook(self._told)
        self.plain = PlainBook()
        self.table: dict[tuple[str, str], StoredRow] = {}
        self.written = 0
        self.feed: list[StoredRow] = []
        self.erased: set[int] = set()
        """Deleted by this leader, which told the book."""
        self.latest_own: dict[tuple[str, str], int] = {}
        """Of those that are not known to be gone: of a row that another deleted, an echo of an older one may come."""
        self.replaced: dict[tuple[str, str], list[StoredRow]] = {}
        """What newer rows took the place of: a broker that is killed may bring it back."""
        self.reading: Audit | None = None
        self.deleted: dict[str, int] = {}
        """What was deleted when the reading under way began."""
        self.shown: set[int] = set()
        """What the reading under way has shown."""
        self.seen_to = 0

    def _told(self, task: str) -> None:
        self.changed[task] += 1
        top = self.book.top(task)
        assert (top is None) == (not self.book.all(task)), "who is told of a change finds it done"

    def standing(self, task: str) -> list[StoredRow]:
        return sorted(row for (of, _), row in self.table.items() if of == task)

    def write(self, task: str, place: str, look: dict[str, Any]) -> StoredRow:
        self.written += 1
        row = a_row(
            task=task,
            place=place,
            state=State.ENDING if look["ends"] else State.QUEUED if place == QUEUED else State.ASSIGNED,
            outcome=Outcome.FAILED if look["ends"] else None,
            desired=look["desired"],
            then=look["then"],
            submitted=look["submitted"],
            request=a_request(deadline=look["deadline"]),
        )
        stored = a_stored(self.written, row)._replace(stored_at=look["stored_at"])
        if (task, place) in self.table:
            self.replaced.setdefault((task, place), []).append(self.table[task, place])
        self.table[task, place] = stored
        self.feed.append(stored)
        return stored

    def learn(self, stored: StoredRow) -> None:
        self.book.learn(stored)
        self.plain.learn(stored)

    @rule(task=tasks, place=places, look=looks, is_vouched=st.booleans())
    def own_write(self, task: str, place: str, look: dict[str, Any], is_vouched: bool) -> None:
        stored = self.write(task, place, look)
        if is_vouched:
            self.book.vouched.add(stored.sequence)
            self.plain.vouched.add(stored.sequence)
        self.learn(stored)
        self.latest_own[task, place] = stored.sequence

    @rule(task=tasks, place=places, look=looks)
    def foreign_write(self, task: str, place: str, look: dict[str, Any]) -> None:
        self.write(task, place, look)

    @rule(task=tasks)
    def own_delete_of_the_lowest(self, task: str) -> None:
        """As every delete of the leader: lowest first, of a row that the book knows."""
        known = self.book.all(task)
        lowest = min((row.sequence for row in self.standing(task)), default=0)
        if known and known[0].sequence <= lowest:
            self.table = {key: row for key, row in self.table.items() if row.sequence != known[0].sequence}
            self.erased.add(known[0].sequence)
            self.book.forget(task, known[0].sequence)
            self.plain.forget(task, known[0].sequence)

    @rule(task=tasks, place=places, looks=st.tuples(looks, looks))
    def a_task_comes_and_ends_at_one_place(self, task: str, place: str, looks: tuple[dict[str, Any], ...]) -> None:
        if not self.standing(task):
            for look in looks:
                self.own_write(task, place, look, True)
            self.own_delete_of_the_lowest(task)

    @rule(task=tasks)
    def foreign_delete(self, task: str) -> None:
        """By a leader before this one. What such a row had replaced may stand again unseen until the audit after next:
        none of these comes back here.
        """
        if rows := self.standing(task):
            del self.table[task, rows[0].row.place]
            self.replaced.pop((task, rows[0].row.place), None)

    @rule()
    def the_broker_is_killed(self) -> None:
        """Where a row was deleted, the one that it had replaced stands again; the feed and a reading break off."""
        for key, replaced in self.replaced.items():
            if key not in self.table and replaced:
                self.table[key] = replaced.pop()
                self.latest_own.pop(key, None)
        self.feed, self.reading = [], None

    @precondition(lambda self: self.feed and self.reading is None)
    @rule(count=st.integers(1, 4))
    def the_feed_delivers(self, count: int) -> None:
        delivered, self.feed = self.feed[:count], self.feed[count:]
        for stored in delivered:
            self.learn(stored)
            for book in (self.book, self.plain):
                book.feed_passed(stored.sequence)

    @rule(task=tasks)
    def a_checked_read(self, task: str) -> None:
        for book in (self.book, self.plain):
            book.replace(task, self.standing(task), deleted=self.plain.gone.get(task, 0))
        assert self.book.all(task) == self.standing(task)
        self.others_deletes_are_known(task)

    def others_deletes_are_known(self, *tasks: str) -> None:
        self.latest_own = {key: one for key, one in self.latest_own.items() if key[0] not in tasks or key in self.table}

    @precondition(lambda self: self.reading is None)
    @rule()
    def a_reading_begins(self) -> None:
        self.reading, self.shown, self.seen_to = self.book.audit(), set(), 0
        self.deleted = dict(self.plain.gone)

    @precondition(lambda self: self.reading is not None)
    @rule()
    def the_reading_shows_a_row(self) -> None:
        """In the order of their sequences, each as it stands when its turn comes; after the last one it is over."""
        assert self.reading is not None
        left = sorted(stored for stored in self.table.values() if stored.sequence > self.seen_to)
        if not left:
            list(self.reading.finish(self.seen_to))
            self.plain.finish_reading(self.shown, self.seen_to)
            self.reading = None
            self.the_feed_goes_on_after(self.seen_to)
            for task in TASKS:
                known = self.book.all(task)
                assert all(stored in known for stored in self.standing(task)), "what stands is known"
            return
        stored = left[0]
        self.seen_to = stored.sequence
        self.shown.add(stored.sequence)
        if not self.reading.knows(stored.row.task, stored.sequence, stored.stored_at):
            self.reading.take([(stored, codec.encode(stored.row))])
        self.plain_shows(stored)

    def plain_shows(self, stored: StoredRow) -> None:
        self.plain.stands_again(stored.row.task, stored.sequence, self.deleted.get(stored.row.task, 0))
        self.plain.learn(stored)

    @precondition(lambda self: self.reading is not None)
    @rule()
    def the_reading_is_interrupted(self) -> None:
        """Nothing follows from what it did not show: the books still agree."""
        self.reading = None

    def the_feed_goes_on_after(self, seen_to: int) -> None:
        self.feed = [stored for stored in self.feed if stored.sequence > seen_to]
        for book in (self.book, self.plain):
            book.feed_passed(seen_to)
        self.others_deletes_are_known(*TASKS)

    @precondition(lambda self: self.reading is None)
    @rule()
    def an_audit(self) -> None:
        audit, self.deleted = self.book.audit(), dict(self.plain.gone)
        for stored in self.table.values():
            if not audit.knows(stored.row.task, stored.sequence, stored.stored_at):
                audit.take([(stored, codec.encode(stored.row))])
            self.plain_shows(stored)
        list(audit.finish(self.written))
        self.plain.finish_reading({stored.sequence for stored in self.table.values()}, self.written)
        self.the_feed_goes_on_after(self.written)
        for task in TASKS:
            assert self.book.all(task) == self.standing(task)

    @invariant()
    def it_says_what_the_plain_book_says(self) -> None:
        assert set(self.book.tasks()) == set(self.plain.rows)
        assert len(self.book) == len(self.plain.rows)
        assert {top.row.task: top for top in self.book.tops()} == self.plain.tops()
        assert set(self.book.vouched) == self.plain.vouched
        for task in TASKS:
            rows = self.plain.all(task)
            assert self.book.all(task) == rows
            assert self.book.top(task) == (rows[-1] if rows else None)
            assert (task in self.book, self.book.is_doubled(task)) == (bool(rows), len(rows) > 1)

    @invariant()
    def it_finds_without_looking_at_all_rows_what_looking_at_all_finds(self) -> None:
        book, plain = self.book, self.plain
        assert {place: book.count_at(place) for place in PLACES} == {place: plain.places()[place] for place in PLACES}
        found = {(state, desired): book.count(state, desired) for state in State for desired in Desired}
        assert Counter({kind: count for kind, count in found.items() if count}) == plain.wishes()
        for tasks, expected in (
            (book.unfinished(), plain.unfinished()),
            (book.at_nodes(), plain.at_nodes()),
            (book.overdue(NOON.timestamp()), plain.overdue(NOON.timestamp())),
        ):
            assert sorted(tasks) == sorted(expected), "each once"

    @invariant()
    def the_oldest_in_the_queue_is_known_to_a_second(self) -> None:
        oldest_us, moments = self.book.oldest_queued_us(), self.plain.queued_since()
        assert (oldest_us is None) == (not moments)
        if oldest_us is not None:
            assert moments[0] - 1 < oldest_us / 1e6 <= moments[0]
        ages = {task: _moment(submitted_us) for task, submitted_us in self.book.ages()}
        assert ages == {task: top.row.submitted for task, top in self.plain.tops().items()}

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
    def there_is_one_row_a_place_and_nothing_is_made_up(self) -> None:
        for task in TASKS:
            rows = self.book.all(task)
            assert len({row.row.place for row in rows}) == len(rows)
            assert all(row.row.task == task and row.sequence <= self.written for row in rows)

    @invariant()
    def the_desk_is_told_of_every_task_that_is_known(self) -> None:
        assert all(self.changed[task] for task in self.book.tasks())

    def teardown(self) -> None:
        """Once the feed has caught up, an audit makes the book the table, and nothing is kept for its sake."""
        self.reading = None
        self.the_feed_delivers(len(self.feed))
        self.what_was_erased_never_comes_back()
        self.an_audit()
        self.book.feed_passed(self.written)
        assert "0 awaiting their echo" in repr(self.book)


def _moment(unix_us: int) -> datetime | None:
    return datetime.fromtimestamp(unix_us / 1e6, UTC) if unix_us else None


TableAndBook.TestCase.settings = settings(max_examples=100)
TestTheRowBookKeepsUpWithTheTable = TableAndBook.TestCase
