"""A leader's view of the table: which rows each task has, and which of them is true. Pure."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator

from schemas.task import StoredRow


class RowBook:
    """Rows by task and sequence, kept from own writes, the live feed and audits.

    The feed is ordered but lags behind own writes and deletes: what was seen to be deleted is remembered
    until the feed has passed it, so that an echo does not bring it back.
    """

    def __init__(self, changed: Callable[[str], None] = lambda task: None) -> None:
        self._rows: dict[str, dict[int, StoredRow]] = {}
        self._gone: dict[str, int] = {}
        self._gone_order: deque[tuple[int, str]] = deque()
        self._at_place: Counter[str] = Counter()
        self._changed = changed
        self.vouched: set[int] = set()
        """Sequences this term checked itself or wrote from such a row (rule 11)."""

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, task: str) -> bool:
        return task in self._rows

    def __repr__(self) -> str:
        return f"<RowBook {len(self._rows)} tasks, {len(self._gone)} awaiting their echo>"

    def tasks(self) -> Iterator[str]:
        return iter(tuple(self._rows))

    def tops(self) -> Iterator[StoredRow]:
        """The true row of each task."""
        for rows in tuple(self._rows.values()):
            if rows:
                yield rows[max(rows)]

    def top(self, task: str) -> StoredRow | None:
        """The true row of a task: the highest sequence."""
        rows = self._rows.get(task)
        return rows[max(rows)] if rows else None

    def all(self, task: str) -> list[StoredRow]:
        """Every known row of a task, lowest sequence first; more than one after a half-done move."""
        rows = self._rows.get(task, {})
        return [rows[sequence] for sequence in sorted(rows)]

    def is_doubled(self, task: str) -> bool:
        """Whether a task has more than one row: half of a move is still to be done."""
        return len(self._rows.get(task, ())) > 1

    def count_at(self, place: str) -> int:
        """How many tasks stand at `place`."""
        return self._at_place[place]

    def learn(self, stored: StoredRow) -> None:
        """Take a row that was seen, unless it is known to be deleted or replaced since."""
        task = stored.row.task
        if stored.sequence <= self._gone.get(task, 0):
            return
        rows = self._rows.get(task, {})
        same_place = [seq for seq, known in rows.items() if known.row.place == stored.row.place]
        if any(sequence > stored.sequence for sequence in same_place):
            return
        if self.stored(task, stored.sequence, stored.stored_at):
            return
        with self._recount(task):
            rows = self._rows.setdefault(task, {})
            for sequence in same_place:
                del rows[sequence]
                self.vouched.discard(sequence)
            rows[stored.sequence] = stored
        self._changed(task)

    def stored(self, task: str, sequence: int, stored_at: float) -> bool:
        """Take the store time of a row that is known, or known to be gone; False for one that is news."""
        if sequence <= self._gone.get(task, 0):
            return True
        rows = self._rows.get(task)
        known = rows.get(sequence) if rows else None
        if rows is None or known is None:
            return False
        rows[sequence] = known._replace(stored_at=stored_at)
        return True

    def forget(self, task: str, sequence: int) -> None:
        """The message with this sequence is deleted."""
        if sequence > self._gone.get(task, 0):
            self._gone[task] = sequence
            self._gone_order.append((sequence, task))
        self.vouched.discard(sequence)
        rows = self._rows.get(task)
        if rows is None or sequence not in rows:
            return
        with self._recount(task):
            del rows[sequence]
            if not rows:
                del self._rows[task]
        self._changed(task)

    def replace(self, task: str, found: Iterable[StoredRow]) -> None:
        """What a checked read of one task found is the truth."""
        found = tuple(found)
        standing = {stored.sequence for stored in found}
        for stored in self.all(task):
            if stored.sequence not in standing:
                self._drop(task, stored.sequence)
        for stored in found:
            self.learn(stored)

    def audit(self, found: Iterable[StoredRow], seen_to: int) -> Iterator[None]:
        """Take a whole reading of the table that includes everything up to sequence `seen_to`.

        A step a row: who drives it may let others work in between, but must not let the feed pass meanwhile.
        """
        standing: dict[str, set[int]] = {}
        for stored in found:
            standing.setdefault(stored.row.task, set()).add(stored.sequence)
            self.learn(stored)
            yield
        for task in self.tasks():
            for stored in self.all(task):
                if stored.sequence <= seen_to and stored.sequence not in standing.get(task, ()):
                    self._drop(task, stored.sequence)
            yield

    def feed_passed(self, sequence: int) -> None:
        """The live feed has delivered everything up to `sequence`: echoes of older deletes can't come any more."""
        while self._gone_order and self._gone_order[0][0] <= sequence:
            gone, task = self._gone_order.popleft()
            if self._gone.get(task) == gone:
                del self._gone[task]

    def _drop(self, task: str, sequence: int) -> None:
        rows = self._rows[task]
        with self._recount(task):
            del rows[sequence]
            self.vouched.discard(sequence)
            if not rows:
                del self._rows[task]
        self._changed(task)

    def _recount(self, task: str) -> "_Recount":
        return _Recount(self, task, self._at_place)


class _Recount:
    """Keeps the count of tasks by place right over one change of one task."""

    def __init__(self, book: RowBook, task: str, counts: Counter[str]) -> None:
        self._book, self._task, self._counts = book, task, counts

    def __enter__(self) -> None:
        if top := self._book.top(self._task):
            self._counts[top.row.place] -= 1

    def __exit__(self, *_: object) -> None:
        if top := self._book.top(self._task):
            self._counts[top.row.place] += 1
