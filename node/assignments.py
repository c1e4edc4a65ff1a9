"""Which rows stand at this node: live messages, hints and whole readings put together (rule 7). Pure."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from node.defaults import with_defaults
from schemas.lifecycle import State
from schemas.options import Value
from schemas.task import StoredRow, TaskRow

REMEMBERED_MAX = 20_000
"""Tasks of the past whose late messages are still recognised: minutes' worth at full speed."""
NEVER_AGAIN = 1 << 62
NO_OPTIONS: Mapping[str, Value] = MappingProxyType({})


class Assigned(NamedTuple):
    sequence: int
    row: TaskRow


Change = tuple[str, Assigned | None]
"""A task and its row; None for one that no longer stands here."""


class Assignments:
    """What this node should hold. `take_row`, `take_hint` and `take_reading` return what changed."""

    def __init__(self, node: str, options: Mapping[str, Value] = NO_OPTIONS) -> None:
        """`options`: of aria2, that hold here for every task below what its request says."""
        self._node = node
        self._options = options
        self._known: dict[str, Assigned] = {}
        self._latest: OrderedDict[str, int] = OrderedDict()  # what is below is old news
        self._settled: OrderedDict[str, int] = OrderedDict()
        self._floor = 0

    def __repr__(self) -> str:
        return f"<Assignments of {self._node}: {len(self._known)} known, floor {self._floor}>"

    def known(self) -> dict[str, int]:
        """The sequence of each row that stands here."""
        return {task: assigned.sequence for task, assigned in self._known.items()}

    def take_row(self, stored: StoredRow) -> list[Change]:
        """A row as it was republished. One that a reading has spoken about already is old news."""
        return [] if stored.sequence <= self._floor else self._take(stored)

    def take_hint(self, task: str, sequence: int) -> list[Change]:
        """The row was superseded at `sequence`: it stands elsewhere now, or nowhere."""
        if sequence < self._latest.get(task, 0):
            return []
        self._remember(self._latest, task, sequence + 1)
        return [(task, None)] if self._known.pop(task, None) else []

    def take_reading(
        self, found: Iterable[StoredRow], *, known_before: dict[str, int], seen_to: int, authoritative: bool
    ) -> list[Change]:
        """All rows that stand here, as one replica has them.

        `known_before` is `known()` from before the reading began: a row that came since may be missing in it.
        What is missing is dropped only where the reading is at least as new as the row.
        """
        found = tuple(found)
        changes = [change for stored in found for change in self._take(stored)]
        standing = {stored.row.task for stored in found}
        for task, sequence in known_before.items():
            assigned = self._known.get(task)
            if task in standing or assigned is None or assigned.sequence != sequence:
                continue
            if authoritative or sequence <= seen_to:
                del self._known[task]
                # A deleted message never comes back: one that says so is late, or from a replica that lags.
                self._remember(self._latest, task, sequence + 1)
                changes.append((task, None))
        self._floor = max(self._floor, seen_to)
        return changes

    def settle(self, task: str, attempt: int) -> None:
        """This attempt (and those before) is reported: its row means nothing here any more."""
        known = self._known.get(task)
        if known is not None and known.row.attempt <= attempt:  # the next attempt may stand here already
            del self._known[task]
        self._remember(self._settled, task, max(attempt, self._settled.get(task, 0)))

    def settle_for_ever(self, task: str) -> None:
        """The task has ended."""
        self.settle(task, NEVER_AGAIN)

    def _take(self, stored: StoredRow) -> list[Change]:
        row, task = stored.row, stored.row.task
        if stored.sequence < self._latest.get(task, 0):
            return []
        self._remember(self._latest, task, stored.sequence)
        if row.state is not State.ASSIGNED or row.place != self._node:
            return [(task, None)] if self._known.pop(task, None) else []
        if row.attempt <= self._settled.get(task, 0):
            return []
        known = self._known.get(task)
        if known is not None and known.sequence == stored.sequence:
            return []
        self._known[task] = Assigned(stored.sequence, with_defaults(row, self._options))
        return [(task, self._known[task])]

    def _remember(self, memory: OrderedDict[str, int], task: str, value: int) -> None:
        memory[task] = value
        memory.move_to_end(task)
        while len(memory) > REMEMBERED_MAX:
            memory.popitem(last=False)
