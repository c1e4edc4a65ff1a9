"""Tables that fit: on a terminal a row is one line, unless a column of it wraps; in a pipe nothing is cut."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

GAP = "  "
LEAST = 12
"""Characters a column that may be cut keeps at least."""
COMFORT = 32
"""Characters such a column gets before others get more than the least."""


class Column(NamedTuple):
    name: str
    drop: int = 0
    """Where there is no room, the column with the highest goes first; 0 stays."""
    may_cut: bool = False
    right: bool = False
    least: int = LEAST
    """Characters it keeps at least where it may be cut."""
    wraps: bool = False
    """Where there is no room its text goes on below instead of being cut: for what was asked for. Only the last one."""


class Cell(NamedTuple):
    text: str
    style: str = ""


def printable(text: str) -> str:
    """`text` without line breaks and control characters: what others wrote must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], console: Console | None = None, *, head: bool = True
) -> None:
    """Print rows, under a head. In a pipe all columns are there, in full; on a terminal those that fit."""
    console = console or Console(highlight=False)
    lines = [[Cell(column.name, "dim") for column in columns]] if head else []
    lines += [[Cell(printable(cell.text), cell.style) for cell in row] for row in rows]
    widths = [max(cell_len(line[at].text) for line in lines) for at in range(len(columns))]
    if console.is_terminal:
        has_any = [columns[at].drop == 0 or any(line[at].text for line in lines[head:]) for at in range(len(columns))]
        widths = fit(
            [width if some else 0 for width, some in zip(widths, has_any, strict=True)], columns, console.width
        )
    for line in lines:
        cells = [place for place in zip(line, widths, columns, strict=True) if place[1]]
        if console.is_terminal:
            for text in _wrapped(cells, console):
                console.print(text, soft_wrap=True)
        else:  # a hundred thousand rows are no trouble this way
            console.file.write(GAP.join(_plain(*place) for place in cells).rstrip() + "\n")


def fit(widths: Sequence[int], columns: Sequence[Column], room: int) -> list[int]:
    """The widths at which a row fits into `room` characters, 0 for a column that is left out. Pure.

    `widths` are what the columns would take; 0 leaves one out from the start.
    """
    least = [
        min(width, column.least) if column.may_cut else width for width, column in zip(widths, columns, strict=True)
    ]
    shown = [at for at, width in enumerate(widths) if width]
    while _needed(least, shown) > room:
        last = max(shown, key=lambda at: columns[at].drop, default=0)
        if not shown or columns[last].drop == 0:
            break
        shown.remove(last)
    fitted = [least[at] if at in shown else 0 for at in range(len(widths))]
    spare = max(0, room - _needed(least, shown))
    # First what matters most, up to where it reads well; then whoever still wants more.
    for most in (COMFORT, max(widths, default=0)):
        for at in sorted(shown, key=lambda at: columns[at].drop):
            more = max(0, min(spare, min(most, widths[at]) - fitted[at]))
            fitted[at] += more
            spare -= more
    return fitted


def _needed(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[at] for at in shown) + len(GAP) * max(0, len(shown) - 1)


def _wrapped(cells: Sequence[tuple[Cell, int, Column]], console: Console) -> list[Text]:
    """A row as lines: its first, and what goes on below its last column."""
    *_, (last, width, column) = cells
    parts = list(Text(last.text, last.style).wrap(console, width)) if column.wraps else []
    first = [_styled(*place) for place in cells]
    if len(parts) > 1:
        first[-1] = parts[0]
    indent = sum(width for _, width, _ in cells[:-1]) + len(GAP) * (len(cells) - 1)
    lines = [Text(GAP).join(first), *(Text(" " * indent) + part for part in parts[1:])]
    for line in lines:
        line.rstrip()
    return lines


def _styled(cell: Cell, width: int, column: Column) -> Text:
    text = Text(cell.text, cell.style)
    text.truncate(width, overflow="ellipsis")
    text.align("right" if column.right else "left", width)
    return text


def _plain(cell: Cell, width: int, column: Column) -> str:
    spaces = " " * (width - cell_len(cell.text))
    return spaces + cell.text if column.right else cell.text + spaces
