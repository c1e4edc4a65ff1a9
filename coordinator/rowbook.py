"""A leader's view of the table: which rows each task has, and which of them is true. Pure."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from coordinator.packed import Entry, kept, outline, place_of, restamped, sequence_of, submitted_us, unpacked
from coordinator.rowindex import RowIndex
from coordinator.sequences import Sequences
from schemas.lifecycle import Desired, State
from schemas.task import StoredRow

FINISHED_IN_A_STEP = 500
"""Tasks: about a millisecond."""


class RowBook:
    """Rows by task and sequence, kept from own writes, the live feed and audits.

    The feed is ordered but lags behind own writes and deletes: what was seen to be deleted is remembered
    until the feed has passed it, so that an echo does not bring it back.

    Rows in the queue, of which there may be a million, are kept packed and made whole when they are asked for.
    """

    def __init__(
        self,
        changed: Callable[[str], None] = lambda task: None,
        came: Callable[[Sequence[StoredRow]], None] | None = None,
    ) -> None:
        """`changed` is told of a task whose rows changed; `came` of many of which nothing was known, each with its row.

        Without `came`, `changed` is told of those, too.
        """
        self._tops: dict[str, Entry] = {}
        self._lower: dict[str, Sequence[Entry]] = {}
        """The other rows of tasks that have more than one, lowest first."""
        self._index = RowIndex()
        self._gone: dict[str, int] = {}
        self._gone_order: deque[tuple[int, str]] = deque()
        self._changed = changed
        self._came = came or self._each_changed
        self._looked_at: tuple[Entry, StoredRow] | None = None
        """What was learned or unpacked last: who is told of a row asks for it at once."""
        self.vouched = Sequences()
        """Sequences this term checked itself or wrote from such a row (rule 11)."""

    def __len__(self) -> int:
        return len(self._tops)

    def __contains__(self, task: str) -> bool:
        return task in self._tops

    def __repr__(self) -> str:
        return f"<RowBook {len(self._tops)} tasks, {len(self._gone)} awaiting their echo>"

    def tasks(self) -> Iterator[str]:
        return iter(tuple(self._tops))

    def tops(self) -> Iterator[StoredRow]:
        """The true row of each task: seconds for a million, so only for what must see them whole."""
        for task in self.tasks():
            if top := self.top(task):
                yield top

    def top(self, task: str) -> StoredRow | None:
        """The true row of a task: the highest sequence."""
        entry = self._tops.get(task)
        return None if entry is None else self._whole(entry)

    def all(self, task: str) -> list[StoredRow]:
        """Every known row of a task, lowest sequence first; more than one after a half-done move."""
        return [self._whole(entry) for entry in self._entries(task)]

    def is_doubled(self, task: str) -> bool:
        """Whether a task has more than one row: half of a move is still to be done."""
        return task in self._lower

    def count_at(self, place: str) -> int:
        """How many tasks stand at `place`."""
        return self._index.count_at(place)

    def count(self, state: State, wish: Desired) -> int:
        """How many tasks are in this state with this wish: the one for when they have left their node, too."""
        return self._index.wishes[state, wish]

    def at_nodes(self) -> list[str]:
        """Tasks that stand at nodes, node by node."""
        return list(self._index.at_nodes())

    def unfinished(self) -> list[str]:
        """Tasks with which something was begun that must be finished: they are ending, or half of a move is done."""
        return list(dict.fromkeys((*self._index.ending, *self._lower)))

    def overdue(self, now: float) -> list[str]:
        """Tasks in the queue whose deadline has passed by `now`, Unix seconds."""
        return list(self._index.deadlines.past(now))

    def oldest_queued_us(self) -> int | None:
        """When the oldest task in the queue was submitted, in Unix microseconds, to a second; None: no task."""
        return self._index.ages.oldest_us()

    def ages(self) -> Iterator[tuple[str, int]]:
        """Each task, with when it was submitted in Unix microseconds (0: unknown), without reading its row."""
        for task in self.tasks():
            if (entry := self._tops.get(task)) is not None:
                yield task, submitted_us(entry)

    def learn(self, stored: StoredRow) -> None:
        """Take a row that was seen, unless it is known to be deleted or replaced since."""
        task, place, sequence = stored.row.task, stored.row.place, stored.sequence
        if self.stored(task, sequence, stored.stored_at):
            return
        if task not in self._tops:
            entry = self._begin(stored)
        else:
            entry = kept(stored, outline(stored))
            rows = self._entries(task)
            same_place = [sequence_of(other) for other in rows if place_of(other) == place]
            if any(known > sequence for known in same_place):
                return
            for known in same_place:
                self.vouched.discard(known)
            others = [other for other in rows if sequence_of(other) not in same_place]
            self._put(task, sorted((*others, entry), key=sequence_of))
        self._looked_at = entry, stored
        self._changed(task)

    def learn_all(self, rows: Iterable[tuple[StoredRow, bytes]]) -> None:
        """`learn` each, given with its JSON. Of tasks of which nothing was known, a million at a takeover, it is told
        together.
        """
        fresh: list[StoredRow] = []
        for stored, body in rows:
            task = stored.row.task
            if task not in self._tops and task not in self._gone:
                self._begin(stored, body)
                fresh.append(stored)
                continue
            self._came(fresh)  # before what came after it
            fresh = []
            self.learn(stored)
        self._came(fresh)

    def _each_changed(self, rows: Sequence[StoredRow]) -> None:
        for stored in rows:
            self._changed(stored.row.task)

    def _begin(self, stored: StoredRow, body: bytes = b"") -> Entry:
        """Take the first row of a task."""
        about = outline(stored)
        entry = self._tops[stored.row.task] = kept(stored, about, body)
        self._index.add(stored.row.task, about)
        return entry

    def stored(self, task: str, sequence: int, stored_at: float) -> bool:
        """Take the store time of a row that is known, or known to be gone; False for one that is news."""
        if sequence <= self._gone.get(task, 0):
            return True
        top = self._tops.get(task)
        if top is None:
            return False
        if sequence_of(top) == sequence:
            self._tops[task] = restamped(top, stored_at)
            return True
        lower = self._lower.get(task, ())
        if all(sequence_of(entry) != sequence for entry in lower):
            return False
        self._lower[task] = tuple(
            restamped(entry, stored_at) if sequence_of(entry) == sequence else entry for entry in lower
        )
        return True

    def forget(self, task: str, sequence: int) -> None:
        """The message with this sequence is deleted."""
        if sequence > self._gone.get(task, 0):
            self._gone[task] = sequence
            self._gone_order.append((sequence, task))
        self._drop(task, sequence)

    def replace(self, task: str, found: Iterable[StoredRow], *, deleted: int = 0) -> None:
        """What a checked read of one task found is the truth. `deleted`: what was when it began, see `stands_again`."""
        found = tuple(found)
        standing = {stored.sequence for stored in found}
        for entry in self._entries(task):
            if sequence_of(entry) not in standing:
                self._drop(task, sequence_of(entry))
        for stored in found:
            self.stands_again(task, stored.sequence, deleted)
            self.learn(stored)

    def deleted(self, task: str) -> int:
        """The highest sequence of this task that was deleted and the feed has not passed, 0 for none."""
        return self._gone.get(task, 0)

    def stands_again(self, task: str, sequence: int, deleted: int) -> None:
        """This row was read after the delete of `deleted` was answered: unless more was deleted since, it is there.

        A broker that is killed forgets of a row that another replaced that it is gone: once that one is deleted, the
        first stands again.
        """
        if sequence <= deleted == self.deleted(task):
            del self._gone[task]

    def audit(self) -> "Audit":
        """Begin to take a whole reading of the table, of all that stands from now on.

        The feed must not pass before it is finished or given up.
        """
        return Audit(self, dict(self._gone))

    def feed_passed(self, sequence: int) -> None:
        """The live feed has delivered everything up to `sequence`: echoes of older deletes can't come any more."""
        while self._gone_order and self._gone_order[0][0] <= sequence:
            gone, task = self._gone_order.popleft()
            if self._gone.get(task) == gone:
                del self._gone[task]

    def drop_unless(self, standing: Sequences, tasks: Iterable[str], seen_to: int) -> None:
        """Drop those rows of these tasks that a reading up to `seen_to` should have seen and did not."""
        for task in tasks:
            for entry in self._entries(task):
                if (sequence := sequence_of(entry)) <= seen_to and sequence not in standing:
                    self._drop(task, sequence)

    def _drop(self, task: str, sequence: int) -> None:
        self.vouched.discard(sequence)
        rows = self._entries(task)
        left = [entry for entry in rows if sequence_of(entry) != sequence]
        if len(left) < len(rows):
            self._put(task, left)
            self._changed(task)

    def _entries(self, task: str) -> Sequence[Entry]:
        """Lowest first."""
        top = self._tops.get(task)
        if top is None:
            return ()
        return (*self._lower[task], top) if task in self._lower else (top,)

    def _put(self, task: str, rows: Sequence[Entry]) -> None:
        """These are the task's rows now, lowest first."""
        before, after = self._tops.get(task), rows[-1] if rows else None
        if before is not after:
            if before is not None:
                self._index.drop(task, outline(before))
            if after is not None:
                self._tops[task] = after
                self._index.add(task, outline(after))
            else:
                del self._tops[task]
        if len(rows) > 1:
            self._lower[task] = tuple(rows[:-1])
        else:
            self._lower.pop(task, None)

    def _whole(self, entry: Entry) -> StoredRow:
        if isinstance(entry, StoredRow):
            return entry
        if self._looked_at is None or self._looked_at[0] is not entry:
            self._looked_at = entry, unpacked(entry)
        return self._looked_at[1]


class Audit:
    """A whole reading of the table, taken into the book as it comes.

    One that is given up half-way has taught what it showed; only `finish` drops what was not shown.
    """

    def __init__(self, book: RowBook, deleted: Mapping[str, int]) -> None:
        """`deleted`: of each task, what was deleted when the reading began."""
        self._book = book
        self._deleted = deleted
        self._standing = Sequences()

    def __repr__(self) -> str:
        return f"<Audit, {len(self._standing)} rows so far>"

    def knows(self, task: str, sequence: int, stored_at: float) -> bool:
        """Whether the row that was read now is known, so that it need not be decoded and taken."""
        if task in self._deleted:
            self._book.stands_again(task, sequence, self._deleted[task])
        if not self._book.stored(task, sequence, stored_at):
            return False
        self._standing.add(sequence)
        return True

    def take(self, rows: Sequence[tuple[StoredRow, bytes]]) -> None:
        """These rows were read, each with its JSON, and are not known, as `knows` said."""
        for stored, _ in rows:
            self._standing.add(stored.sequence)
        self._book.learn_all(rows)

    def finish(self, seen_to: int) -> Iterator[None]:
        """Everything was read, and it includes everything up to sequence `seen_to`: drop what does not stand.

        In small steps: who drives it may let others work in between.
        """
        tasks = tuple(self._book.tasks())
        for start in range(0, len(tasks), FINISHED_IN_A_STEP):
            self._book.drop_unless(self._standing, tasks[start : start + FINISHED_IN_A_STEP], seen_to)
            yield


class TableReading(NamedTuple):
    """A whole reading of the table, for those who go on from there."""

    seen_to: int
    """It includes everything up to this sequence."""
    reconnects: int
    """Of the connection, as it began."""
    at: float
    """When it was over, monotonic seconds."""
    took_s: float
