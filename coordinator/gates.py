"""What keeps tasks from being placed: nothing behind a closed gate is looked at until it opens. Pure."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.cells import Cell

SWEEP_EVERY = 256
"""Cells that came to wait since those were thrown out that are empty by now."""


class Gate:
    """Closed while nothing behind it could be placed; the cells that were found behind it wait to be told."""

    def __init__(self) -> None:
        self.is_closed = False
        self._waiting: list[Cell] = []

    def close(self) -> None:
        self.is_closed = True

    def hold(self, cell: "Cell") -> None:
        """A cell waits until it opens."""
        self._waiting.append(cell)
        if len(self._waiting) % SWEEP_EVERY == 0:
            self._waiting = [cell for cell in self._waiting if cell.count]

    def open(self) -> list["Cell"]:
        """Open it; the cells that waited."""
        self.is_closed = False
        waiting, self._waiting = self._waiting, []
        return waiting
