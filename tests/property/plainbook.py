"""The row book without any cleverness: every row as it is, and everything found by looking at all of them."""

from collections import Counter
from collections.abc import Iterable

from schemas.ids import QUEUED
from schemas.lifecycle import Desired, State
from schemas.task import StoredRow


class PlainBook:
    """Rows by task and sequence."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, StoredRow]] = {}
        self.gone: dict[str, int] = {}
        self.vouched: set[int] = set()
        self._gone_order: list[tuple[int, str]] = []

    def all(self, task: str) -> list[StoredRow]:
        return [stored for _, stored in sorted(self.rows.get(task, {}).items())]

    def tops(self) -> dict[str, StoredRow]:
        return {task: self.all(task)[-1] for task in self.rows}

    def learn(self, stored: StoredRow) -> None:
        task, place = stored.row.task, stored.row.place
        if stored.sequence <= self.gone.get(task, 0):
            return
        known = self.rows.get(task, {})
        same_place = [sequence for sequence, other in known.items() if other.row.place == place]
        if any(sequence > stored.sequence for sequence in same_place):
            return
        for sequence in same_place:
            del known[sequence]
            if sequence != stored.sequence:
                self.vouched.discard(sequence)
        self.rows.setdefault(task, {})[stored.sequence] = stored

    def forget(self, task: str, sequence: int) -> None:
        if sequence > self.gone.get(task, 0):
            self.gone[task] = sequence
            self._gone_order.append((sequence, task))
        self._drop(task, sequence)

    def stands_again(self, task: str, sequence: int, deleted: int) -> None:
        if sequence <= deleted and self.gone.get(task) == deleted:
            del self.gone[task]

    def replace(self, task: str, found: Iterable[StoredRow], *, deleted: int = 0) -> None:
        found = tuple(found)
        for sequence in set(self.rows.get(task, {})) - {stored.sequence for stored in found}:
            self._drop(task, sequence)
        for stored in found:
            self.stands_again(task, stored.sequence, deleted)
            self.learn(stored)

    def finish_reading(self, shown: set[int], seen_to: int) -> None:
        """Drop what a whole reading did not show."""
        for task in tuple(self.rows):
            for sequence in [one for one in self.rows[task] if one <= seen_to and one not in shown]:
                self._drop(task, sequence)

    def feed_passed(self, sequence: int) -> None:
        while self._gone_order and self._gone_order[0][0] <= sequence:
            gone, task = self._gone_order.pop(0)
            if self.gone.get(task) == gone:
                del self.gone[task]

    def unfinished(self) -> set[str]:
        return {task for task, top in self.tops().items() if top.row.state is State.ENDING or len(self.rows[task]) > 1}

    def overdue(self, now: float) -> set[str]:
        return {
            task
            for task, top in self.tops().items()
            if top.row.state is State.QUEUED
            and top.row.request is not None
            and top.row.request.deadline is not None
            and top.row.request.deadline.timestamp() <= now
        }

    def at_nodes(self) -> set[str]:
        return {task for task, top in self.tops().items() if top.row.place != QUEUED}

    def places(self) -> Counter[str]:
        return Counter(top.row.place for top in self.tops().values())

    def wishes(self) -> Counter[tuple[State, Desired]]:
        return Counter((top.row.state, top.row.wish_elsewhere) for top in self.tops().values())

    def queued_since(self) -> list[float]:
        """When the tasks in the queue were submitted, Unix seconds, oldest first."""
        rows = [top.row for top in self.tops().values() if top.row.state is State.QUEUED]
        return sorted(row.submitted.timestamp() for row in rows if row.submitted)

    def _drop(self, task: str, sequence: int) -> None:
        self.vouched.discard(sequence)
        known = self.rows.get(task, {})
        known.pop(sequence, None)
        if not known:
            self.rows.pop(task, None)
