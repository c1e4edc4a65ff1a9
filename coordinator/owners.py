"""How many tasks of each owner wait and run, and whether another may come. Pure.

Counted as rows change, a step each; every task is remembered by one reference, for there may be a million.
"""

from schemas.lifecycle import State
from schemas.task import StoredRow, TaskRow


class _Tally:
    """The tasks of one owner that wait, or that run; an object, so that each task may refer to the one it counts in."""

    __slots__ = ("_among", "_owner", "count")

    def __init__(self, owner: str, among: "dict[str, _Tally]") -> None:
        self.count = 0
        self._owner = owner
        self._among = among
        among[owner] = self

    def less(self) -> None:
        """One fewer; an owner without tasks takes no room."""
        self.count -= 1
        if not self.count:
            del self._among[self._owner]


class Owners:
    """Counts tasks by owner; told of each change of a task's true row."""

    def __init__(self) -> None:
        self._queued: dict[str, _Tally] = {}
        self._running: dict[str, _Tally] = {}
        self._coming: dict[str, _Tally] = {}
        """Tasks that may be created."""
        self._promised: dict[str, _Tally] = {}
        """Where each of these is counted."""
        self._counted: dict[str, _Tally] = {}
        """Where each task is counted."""

    def __repr__(self) -> str:
        return f"<Owners of {len(self._counted)} tasks, {len(self._promised)} coming>"

    def queued(self, owner: str) -> int:
        """Tasks that wait: for a slot, for their next try, or because they are paused."""
        return _count(self._queued, owner)

    def running(self, owner: str) -> int:
        """Tasks that stand at a node."""
        return _count(self._running, owner)

    def row_changed(self, task: str, top: StoredRow | None) -> None:
        """The true row of a task is `top` now; None: it has none any more. Safe to repeat."""
        if top is None:
            now = None
        else:
            if self._promised:
                self.settle(task)
            now = self._tally(top.row)
        before = self._counted.get(task)
        if now is before:
            return
        if now is not None:
            now.count += 1
            self._counted[task] = now
        else:
            del self._counted[task]
        if before is not None:
            before.less()

    def admit(self, task: str, owner: str, limit: int) -> bool:
        """Promise a place among those that wait, at most `limit`; each promise must be settled. False: no room."""
        if task in self._counted or task in self._promised:
            return True  # the same request once more: it comes to nothing
        if self.queued(owner) + _count(self._coming, owner) >= limit:
            return False
        promise = self._coming.get(owner) or _Tally(owner, self._coming)
        promise.count += 1
        self._promised[task] = promise
        return True

    def settle(self, task: str) -> None:
        """The task's fate is known: it is counted itself now, or did not come."""
        if (promise := self._promised.pop(task, None)) is not None:
            promise.less()

    def _tally(self, row: TaskRow) -> _Tally | None:
        """Where it is counted."""
        if row.state is State.ENDING:
            return None
        among = self._queued if row.state is State.QUEUED else self._running
        return among.get(row.owner) or _Tally(row.owner, among)


def _count(tallies: dict[str, _Tally], owner: str) -> int:
    tally = tallies.get(owner)
    return tally.count if tally is not None else 0
