"""The tasks in SQLite: changes come in batches, each a transaction. One thread at a time."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from gateway.readmodel.changes import Change, Dismissal, Ended, RowCame, Runs, Seen, line_of, number_of
from gateway.readmodel.records import TEXT_CHARS_MAX, Record, ended_record, live_record, view_from
from gateway.readmodel.schema import open_database
from gateway.readmodel.terms import state_terms, terms_of, text_of
from schemas.lifecycle import State
from schemas.view import TaskView

RECENT_MAX = 20_000
"""Ended tasks remembered beyond those kept: their last rows may come after their outcome."""
TRIM_BEYOND = 1000
"""So many too many, and the oldest go."""

_COLUMNS = "task, owner, state, attempt, key, submitted, sequence, ended, name, size, priority, line, text, body"
_OLD = "SELECT id, sequence, ended, submitted, key, state, attempt, body FROM tasks WHERE task = ?"


class Store:
    """Every live task, and the latest that ended."""

    def __init__(self, path: str, history_max: int, is_running: Callable[[str, str, int], bool]) -> None:
        """`is_running`: whether a node said that it is at work on a task's attempt. Raises SettingInvalid."""
        self.database = open_database(path)
        self.database.execute("CREATE TEMP TABLE seen (task INTEGER PRIMARY KEY)")
        self.counts: Counter[tuple[str, State]] = Counter()
        """How many tasks there are, by owner and state."""
        self._history_max = history_max
        self._is_running = is_running
        self._recent: OrderedDict[int, None] = OrderedDict()
        for owner, state, count in self.database.execute("SELECT owner, state, count(*) FROM tasks GROUP BY 1, 2"):
            self.counts[owner, State(state)] = count
        (self._ended,) = self.database.execute("SELECT count(*) FROM tasks WHERE ended IS NOT NULL").fetchone()
        self.log_read_to = int(self.fact("log_read_to") or 0)
        """The sequence of the log's last outcome that is in here."""

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

    def apply(self, changes: Sequence[Change]) -> None:
        """All of them, in order."""
        database = self.database
        database.execute("BEGIN")
        counts, ended, read_to = self.counts.copy(), self._ended, self.log_read_to
        try:
            for change in changes:
                self._apply(change)
            if self._ended > self._history_max + TRIM_BEYOND or (self._history_max == 0 and self._ended):
                self._trim(self._ended - self._history_max)
            if self.log_read_to != read_to:
                self.note("log_read_to", str(self.log_read_to))
        except BaseException:
            database.execute("ROLLBACK")
            self.counts, self._ended, self.log_read_to = counts, ended, read_to
            raise
        database.execute("COMMIT")

    def _apply(self, change: Change) -> None:
        match change:
            case RowCame(stored):
                self._row_came(live_record(stored))
            case Ended(event, sequence):
                self.log_read_to = max(self.log_read_to, sequence)
                self._has_ended(ended_record(event, sequence, None))
            case Dismissal(task, sequence):
                self.log_read_to = max(self.log_read_to, sequence)
                self._dismiss(number_of(task), sequence)
            case Runs(task, attempt, node, active):
                self._runs(number_of(task), attempt, node, active)
            case Seen(task):
                self.database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (number_of(task),))

    def _old(self, number: int) -> Any:
        return self.database.execute(_OLD, (number,)).fetchone()

    def _row_came(self, record: Record | None) -> None:
        """The highest sequence of a task is true, and an outcome outweighs any row."""
        if record is None or record.number in self._recent or self._is_dismissed(record.number):
            return
        old = self._old(record.number)
        if old is not None and (old[2] is not None or old[1] >= record.sequence):
            return
        view = record.view
        if view.state is State.ASSIGNED and self._is_running(view.task, view.node, view.attempt):
            record = record._replace(view=replace(view, state=State.ACTIVE))
        if old is not None:
            self._remove(old)
        self._insert(record)

    def _has_ended(self, record: Record | None) -> None:
        if record is None:
            return
        self._recent[record.number] = None
        if len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)
        if self._is_dismissed(record.number):
            return
        old = self._old(record.number)
        if old is not None:
            if old[2] is not None and old[2] >= record.ended:
                return
            self._remove(old)
            record = record._replace(submitted=old[3])
        self._insert(record)

    def _dismiss(self, number: int | None, sequence: int) -> None:
        if number is None or (old := self._old(number)) is None or old[2] is None:
            return
        self._remove(old)
        self.database.execute("INSERT OR REPLACE INTO dismissed VALUES (?, ?)", (number, sequence))

    def _is_dismissed(self, number: int) -> bool:
        return self.database.execute("SELECT 1 FROM dismissed WHERE task = ?", (number,)).fetchone() is not None

    def _runs(self, number: int | None, attempt: int, node: str, active: bool) -> None:
        """A node began with an attempt, or does it no more."""
        if number is None or (old := self._old(number)) is None:
            return
        id_, _, _, _, key, state, its_attempt, body = old
        before, after = (State.ASSIGNED, State.ACTIVE) if active else (State.ACTIVE, State.ASSIGNED)
        if state != before or its_attempt != attempt or (view := view_from(body, state, has_ended=False)).node != node:
            return
        gone = [(term, key, id_) for term in state_terms(view.owner, before)]
        self.database.executemany("DELETE FROM terms WHERE term = ? AND key = ? AND id = ?", gone)
        come = [(term, key, id_) for term in state_terms(view.owner, after)]
        self.database.executemany("INSERT OR IGNORE INTO terms VALUES (?, ?, ?)", come)
        self.database.execute("UPDATE tasks SET state = ? WHERE id = ?", (str(after), id_))
        self._count(view.owner, before, -1)
        self._count(view.owner, after, 1)

    def _insert(self, record: Record) -> None:
        view = record.view
        line = (
            *(record.number, view.owner, str(view.state), view.attempt, record.key, record.submitted),
            *(record.sequence, record.ended, view.name, view.bytes, view.priority),
            line_of(view.priority, view.order) if record.ended is None else None,
            *(text_of(view)[:TEXT_CHARS_MAX], record.body),
        )
        id_ = self.database.execute(
            f"INSERT INTO tasks ({_COLUMNS}) VALUES ({', '.join('?' * len(line))})", line
        ).lastrowid
        self.database.executemany(
            "INSERT OR IGNORE INTO terms VALUES (?, ?, ?)", [(term, record.key, id_) for term in terms_of(view)]
        )
        self._count(view.owner, view.state, 1)
        self._ended += record.ended is not None

    def _remove(self, old: Any) -> None:
        id_, _, ended, _, key, state, _, body = old
        view = view_from(body, state, has_ended=ended is not None)
        self.database.execute("DELETE FROM tasks WHERE id = ?", (id_,))
        gone = [(term, key, id_) for term in terms_of(view)]
        self.database.executemany("DELETE FROM terms WHERE term = ? AND key = ? AND id = ?", gone)
        self._count(view.owner, State(state), -1)
        self._ended -= ended is not None

    def _count(self, owner: str, state: State, change: int) -> None:
        self.counts[owner, state] += change
        if not self.counts[owner, state]:
            del self.counts[owner, state]

    def _trim(self, count: int) -> None:
        """The oldest that ended go."""
        self._remove_all("ended IS NOT NULL ORDER BY ended LIMIT ?", count)

    def forget_before(self, sequence: int) -> None:
        """The log begins here now: what ended before is not in it any more."""
        self.database.execute("BEGIN")
        self._remove_all("ended < ?", sequence)
        self.database.execute("DELETE FROM dismissed WHERE sequence < ?", (sequence,))
        self.database.execute("COMMIT")

    def begin_reading(self) -> None:
        """The table is read whole: what it shows comes as Seen."""
        self.database.execute("DELETE FROM seen")

    def finish_reading(self, read_to: int) -> int:
        """It was shown whole, up to this sequence: rows that it did not show are gone. How many that were."""
        self.database.execute("BEGIN")
        gone = self._remove_all("sequence <= ? AND task NOT IN (SELECT task FROM seen)", read_to)
        self.database.execute("COMMIT")
        self.database.execute("DELETE FROM seen")
        return gone

    def forget_live(self) -> None:
        """The table was made anew: its sequences begin again."""
        self.database.execute("BEGIN")
        self._remove_all("sequence IS NOT NULL")
        self.database.execute("COMMIT")

    def forget_ended(self) -> None:
        """The log was made anew."""
        self.database.execute("BEGIN")
        self._remove_all("ended IS NOT NULL")
        self.database.execute("DELETE FROM dismissed")
        self._recent.clear()
        self.log_read_to = 0
        self.note("log_read_to", "0")
        self.database.execute("COMMIT")

    def _remove_all(self, condition: str, *values: int) -> int:
        found: Iterable[tuple[int]] = self.database.execute(
            f"SELECT task FROM tasks WHERE {condition}", values
        ).fetchall()
        count = 0
        for (number,) in found:
            self._remove(self._old(number))
            count += 1
        return count

    def get(self, number: int) -> TaskView | None:
        """One task, as it is stored."""
        found = self.database.execute("SELECT body, state, ended FROM tasks WHERE task = ?", (number,)).fetchone()
        return view_from(found[0], found[1], has_ended=found[2] is not None) if found else None
