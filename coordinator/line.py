"""Very many queued tasks in their order, in little memory and without holding anybody up."""

from collections.abc import Sequence
from itertools import chain
from typing import overload

import anyio.lowlevel

from coordinator.positions import Slot

RUN = 10_000
"""Tasks sorted in one go: some milliseconds."""
ID_BITS = 64
ID_MASK = (1 << ID_BITS) - 1


class Line(Sequence[Slot]):
    """Slots, each kept as one whole number of order and id: 44 bytes, and nothing for the garbage collector to visit.

    Add what there is in any order, sort, then read.
    """

    def __init__(self) -> None:
        self._runs: list[list[int]] = [[]]

    def __repr__(self) -> str:
        return f"<Line of {len(self)} tasks>"

    def add(self, order: int, task: str) -> None:
        run = self._runs[-1]
        run.append(order << ID_BITS | int(task, 16))
        if len(run) >= RUN:
            self._runs.append([])

    async def sort(self) -> None:
        """Sort small runs, then join them two by two; others may run in between."""
        for run in self._runs:
            run.sort()
            await anyio.lowlevel.checkpoint()
        while len(self._runs) > 1:
            joined: list[list[int]] = []
            for at in range(0, len(self._runs), 2):
                run = list(chain.from_iterable(self._runs[at : at + 2]))
                run.sort()
                joined.append(run)
                await anyio.lowlevel.checkpoint()
            self._runs = joined

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    @overload
    def __getitem__(self, at: int) -> Slot: ...
    @overload
    def __getitem__(self, at: slice) -> list[Slot]: ...
    def __getitem__(self, at: int | slice) -> Slot | list[Slot]:
        (sorted_run,) = self._runs
        if isinstance(at, slice):
            return [_slot(each) for each in sorted_run[at]]
        return _slot(sorted_run[at])


def _slot(each: int) -> Slot:
    return Slot(each >> ID_BITS, f"{each & ID_MASK:016x}")
