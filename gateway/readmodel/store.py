"""The tasks in SQLite: changes come in batches, each a transaction. One thread at a time."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

import msgspec
import structlog

from gateway.readmodel.changes import Change, Dismissal, Ended, RowCame, Runs, Seen, number_of
from gateway.readmodel.index import Index
from gateway.readmodel.records import Record, ended_record, live_record, packed, unpacked, view_from
from gateway.readmodel.schema import drop_orders, make_orders, open_database
from gateway.readmodel.terms import term
from schemas.lifecycle import State
from schemas.view import TaskView

log = structlog.get_logger()
T = TypeVar("T")

RECENT_MAX = 20_000
"""Ended tasks remembered beyond those kept: their last rows may come after their outcome."""
TRIM_BEYOND = 1000
"""So many too many, and the oldest go."""

_DISMISSALS_FROM = "dismissals_from"
PUT_OFF_BEYOND = 50_000
"""For fewer changes than that the orders stay, and sorted listings with them."""

_INSERT = f"INSERT INTO tasks (id, {', '.join(Record._fields)}) VALUES ({', '.join('?' * (len(Record._fields) + 1))})"
_OLD = "SELECT id, task, sequence, ended, submitted, key, owner, state, attempt, terms FROM tasks"
SOME = "(SELECT value FROM json_each(?))"
"""So many values as one: a statement with a thousand marks takes longer to read than to carry out."""


class _Old(NamedTuple):
    """What must be known of a line to change it."""

    id: int
    task: int
    sequence: int | None
    ended: int | None
    submitted: int | None
    key: int
    owner: str
    state: str
    attempt: int
    terms: bytes


class Store:
    """Every live task, and the latest that ended."""

    def __init__(self, path: str, history_max: int, is_running: Callable[[str, str, int], bool]) -> None:
        """`is_running`: whether a node said that it is at work on a task's attempt. Raises SettingInvalid.

        A file with a million tasks takes some seconds.
        """
        self.database = open_database(path)
        self.database.execute("CREATE TEMP TABLE seen (task INTEGER PRIMARY KEY)")
        self.index = Index()
        self.counts: Counter[tuple[str, State]] = Counter()
        """How many tasks there are, by owner and state."""
        self._history_max = history_max
        self._is_running = is_running
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._ended, self._last_id = 0, 0
        self._later: list[Callable[[], None]] = []
        """What the index is to be told once a transaction is over."""
        self._learn()
        self.log_read_to = int(self.fact("log_read_to") or 0)
        """The sequence of the log's last outcome that is in here."""

    def _learn(self) -> None:
        """What is kept beside the database."""
        for line in map(_Old._make, self.database.execute(f"{_OLD} ORDER BY id")):
            self.index.add(line.id, line.key, unpacked(line.terms))
            self.counts[line.owner, State(line.state)] += 1
            self._ended += line.ended is not None
            self._last_id = line.id

    def __repr__(self) -> str:
        return f"<Store of {self.counts.total()} tasks, {self._ended} ended, log read to {self.log_read_to}>"

    def close(self) -> None:
        self.database.close()

    def fact(self, name: str) -> str:
        """What was noted under a name; empty for nothing."""
        found = self.database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def note(self, name: str, value: str) -> None:
        self.database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def put_off_orders(self, coming: int) -> None:
        """So many changes come: if they are most of what will be here, its orders are made after them.

        Rows that are looked over again are not: as many are here already.
        """
        if coming > max(PUT_OFF_BEYOND, 2 * self.counts.total()):
            drop_orders(self.database)

    def make_orders(self) -> None:
        """What was put off, in some seconds."""
        make_orders(self.database)

    def begin_history(self) -> int:
        """The log is read in bulk, outcomes first: from which sequence what was dismissed is to be read after them.

        Where that broke off before, it is where it began then.
        """
        since = self.fact(_DISMISSALS_FROM) or str(self.log_read_to)
        self.note(_DISMISSALS_FROM, since)
        return int(since)

    def end_history(self) -> None:
        """All of it was read."""
        self.note(_DISMISSALS_FROM, "")

    def apply(self, changes: Sequence[Change]) -> None:
        """All of them, in order."""

        def work() -> None:
            read_to = self.log_read_to
            for kind, some in groupby(changes, type):
                if kind is Ended:
                    self._have_ended([change for change in some if isinstance(change, Ended)])
                else:
                    for change in some:
                        self._apply(change)
            if self._ended > self._history_max + TRIM_BEYOND or (self._history_max == 0 and self._ended):
                self._trim(self._ended - self._history_max)
            if self.log_read_to != read_to:
                self.note("log_read_to", str(self.log_read_to))

        self._at_once(work)

    def _at_once(self, work: Callable[[], T]) -> T:
        """All of it, or where it fails nothing."""
        counts, ended, read_to, last_id = self.counts.copy(), self._ended, self.log_read_to, self._last_id
        self.database.execute("BEGIN")
        try:
            done = work()
        except BaseException:
            self.database.execute("ROLLBACK")
            self.counts, self._ended, self.log_read_to, self._last_id = counts, ended, read_to, last_id
            self._later.clear()
            raise
        self.database.execute("COMMIT")
        for tell in self._later:
            tell()
        self._later.clear()
        return done

    def _apply(self, change: Change) -> None:
        match change:
            case RowCame(stored):
                self._row_came(live_record(stored))
            case Dismissal(task, sequence):
                self.log_read_to = max(self.log_read_to, sequence)
                self._dismiss(number_of(task), sequence)
            case Runs(task, attempt, node, active):
                self._runs(number_of(task), attempt, node, active=active)
            case Seen(task):
                self.database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (number_of(task),))

    def _old(self, number: int) -> _Old | None:
        found = self.database.execute(f"{_OLD} WHERE task = ?", (number,)).fetchone()
        return _Old._make(found) if found is not None else None

    def _row_came(self, record: Record | None) -> None:
        """The highest sequence of a task is true, and an outcome outweighs any row."""
        if record is None or record.task in self._recent or self._is_dismissed(record.task):
            return
        old = self._old(record.task)
        assert record.sequence is not None
        if old is not None and (old.ended is not None or (old.sequence or 0) >= record.sequence):
            return
        if old is not None:
            self._remove(old)
        self._insert([record], old.id if old is not None and old.key == record.key else 0)
        if record.state == State.ASSIGNED:
            view = view_from(record.body, record.state, has_ended=False)
            if self._is_running(view.task, view.node, view.attempt):
                self._runs(record.task, view.attempt, view.node, active=True)

    def _have_ended(self, changes: Sequence[Ended]) -> None:
        records: dict[int, Record] = {}
        for change in changes:
            self.log_read_to = max(self.log_read_to, change.sequence)
            try:
                record = ended_record(change.body, change.sequence)
            except msgspec.MsgspecError as error:
                log.warning("an outcome can't be read, passing it over", sequence=change.sequence, problem=str(error))
                continue
            if record is not None:
                records[record.task] = record
        self._recent.update(dict.fromkeys(records))
        while len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)
        numbers = (str(list(records)),)
        for (number,) in self.database.execute(f"SELECT task FROM dismissed WHERE task IN {SOME}", numbers):
            del records[number]
        for old in map(_Old._make, self.database.execute(f"{_OLD} WHERE task IN {SOME}", numbers).fetchall()):
            record = records.get(old.task)
            if record is None:
                continue
            if old.ended is not None and record.ended is not None and old.ended >= record.ended:
                del records[old.task]
                continue
            self._remove(old)
            records[old.task] = record._replace(submitted=old.submitted)
        self._insert(list(records.values()))

    def _dismiss(self, number: int | None, sequence: int) -> None:
        if number is None or (old := self._old(number)) is None or old.ended is None:
            return
        self._remove(old)
        self.database.execute("INSERT OR REPLACE INTO dismissed VALUES (?, ?)", (number, sequence))

    def _is_dismissed(self, number: int) -> bool:
        return self.database.execute("SELECT 1 FROM dismissed WHERE task = ?", (number,)).fetchone() is not None

    def _runs(self, number: int | None, attempt: int, node: str, *, active: bool) -> None:
        """A node began with an attempt, or does it no more."""
        if number is None or (old := self._old(number)) is None:
            return
        before, after = (State.ASSIGNED, State.ACTIVE) if active else (State.ACTIVE, State.ASSIGNED)
        if old.state != before or old.attempt != attempt:
            return
        (body,) = self.database.execute("SELECT body FROM tasks WHERE id = ?", (old.id,)).fetchone()
        if view_from(body, old.state, has_ended=False).node != node:
            return
        was, is_now = term("state", before), term("state", after)
        terms = {is_now if one == was else one for one in unpacked(old.terms)}
        self.database.execute("UPDATE tasks SET state = ?, terms = ? WHERE id = ?", (str(after), packed(terms), old.id))
        self._later.append(lambda: self.index.untie(old.id, (was,)))
        self._later.append(lambda: self.index.tie(old.id, (is_now,)))
        self._count(old.owner, before, -1)
        self._count(old.owner, after, 1)

    def _insert(self, records: Sequence[Record], line: int = 0) -> None:
        """`line`: the number to store a single one under; 0 for new ones."""
        first = line or self._last_id + 1
        self.database.executemany(_INSERT, [(first + at, *record) for at, record in enumerate(records)])
        for (owner, state), count in Counter((record.owner, record.state) for record in records).items():
            self._count(owner, State(state), count)
        self._ended += sum(record.ended is not None for record in records)
        if not line:
            self._last_id += len(records)

        def tell() -> None:
            for at, record in enumerate(records):
                self.index.add(first + at, record.key, unpacked(record.terms))

        self._later.append(tell)

    def _remove(self, old: _Old) -> None:
        self.database.execute("DELETE FROM tasks WHERE id = ?", (old.id,))
        self._later.append(lambda: self.index.discard(old.id, unpacked(old.terms)))
        self._count(old.owner, State(old.state), -1)
        self._ended -= old.ended is not None

    def _count(self, owner: str, state: State, change: int) -> None:
        self.counts[owner, state] += change
        if not self.counts[owner, state]:
            del self.counts[owner, state]

    def _trim(self, count: int) -> None:
        """The oldest that ended go."""
        self._remove_all("ended IS NOT NULL ORDER BY ended LIMIT ?", count)

    def forget_before(self, sequence: int) -> None:
        """The log begins here now: what ended before is not in it any more."""

        def work() -> None:
            self._remove_all("ended < ?", sequence)
            self.database.execute("DELETE FROM dismissed WHERE sequence < ?", (sequence,))

        self._at_once(work)

    def begin_reading(self) -> None:
        """The table is read whole: what it shows comes as Seen."""
        self.database.execute("DELETE FROM seen")

    def finish_reading(self, read_to: int) -> int:
        """It was shown whole, up to this sequence: rows that it did not show are gone. How many that were."""
        gone = self._at_once(lambda: self._remove_all("sequence <= ? AND task NOT IN (SELECT task FROM seen)", read_to))
        self.database.execute("DELETE FROM seen")
        return gone

    def forget_live(self) -> None:
        """The table was made anew: its sequences begin again."""
        self._at_once(lambda: self._remove_all("sequence IS NOT NULL"))

    def forget_ended(self) -> None:
        """The log was made anew."""

        def work() -> None:
            self._remove_all("ended IS NOT NULL")
            self.database.execute("DELETE FROM dismissed")
            self.log_read_to = 0
            self.note("log_read_to", "0")
            self.note(_DISMISSALS_FROM, "")

        self._at_once(work)
        self._recent.clear()

    def _remove_all(self, condition: str, *values: int) -> int:
        found: Iterable[Any] = self.database.execute(f"{_OLD} WHERE {condition}", values).fetchall()
        count = 0
        for old in map(_Old._make, found):
            self._remove(old)
            count += 1
        return count

    def get(self, number: int) -> TaskView | None:
        """One task, as it is stored."""
        found = self.database.execute("SELECT body, state, ended FROM tasks WHERE task = ?", (number,)).fetchone()
        return readable(found[0], found[1], has_ended=found[2] is not None) if found else None


def readable(body: bytes, state: str, *, has_ended: bool) -> TaskView | None:
    """The view of a line; None where it is of some other program's making, and no sense can be made of it."""
    try:
        return view_from(body, state, has_ended=has_ended)
    except (msgspec.MsgspecError, ValueError) as error:
        log.debug("a task can't be read, passing it over", problem=str(error))
        return None
