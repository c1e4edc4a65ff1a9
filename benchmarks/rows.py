"""What a measurement says, and how it is printed: a table for people, JSON lines for scripts."""

import sys
from statistics import median
from typing import Any, Literal

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from benchmarks.usage import Usage


class Row(Struct, frozen=True, kw_only=True):
    """One figure, beside that of a peer measured in the same run where there is one."""

    bench: str
    case: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    """value / peer_value: above 1 means that the figure is larger than the peer's."""
    floor: float | None = None
    """What `floor_of` must reach."""
    floor_of: Literal["ratio", "value"] = "ratio"
    floor_is_ceiling: bool = False
    """It must stay at or below the floor instead."""
    cpu_s: float | None = None
    """CPU seconds of all processes of the cluster, the origin and this program not counted."""
    peak_mib: float | None = None
    """Sum of the processes' peak resident memory."""
    peer_cpu_s: float | None = None
    peer_peak_mib: float | None = None
    rounds: int = 1

    @property
    def holds(self) -> bool | None:
        """Whether the floor is kept; None where there is none."""
        if self.floor is None:
            return None
        measured = self.ratio if self.floor_of == "ratio" else self.value
        assert measured is not None, "a floor of a ratio needs a peer"
        return measured <= self.floor if self.floor_is_ceiling else measured >= self.floor


class Round(Struct, frozen=True):
    """One side of one round."""

    value: float
    usage: Usage


def compared(bench: str, case: str, unit: str, peer: str, rounds: list[tuple[Round, Round]], **floor: Any) -> Row:
    """A row of medians over alternating rounds of (ours, the peer's); the ratio is the median of the rounds' ratios.

    `floor`: the row's fields of that name.
    """
    ours, theirs = [one for one, _ in rounds], [other for _, other in rounds]
    return Row(
        bench=bench,
        case=case,
        value=_rounded(median(one.value for one in ours)),
        unit=unit,
        peer=peer,
        peer_value=_rounded(median(other.value for other in theirs)),
        ratio=round(median(one.value / other.value for one, other in rounds), 3),
        cpu_s=round(median(one.usage.cpu_s for one in ours), 2),
        peak_mib=round(median(one.usage.peak_mib for one in ours), 1),
        peer_cpu_s=round(median(other.usage.cpu_s for other in theirs), 2),
        peer_peak_mib=round(median(other.usage.peak_mib for other in theirs), 1),
        rounds=len(rounds),
        **floor,
    )


def _rounded(value: float) -> float:
    return round(value, 1 if value >= 100 else 3)


def print_rows(rows: list[Row], *, as_json: bool) -> None:
    """Print to stdout."""
    if as_json:
        for row in rows:
            sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
        sys.stdout.flush()
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column, justify in COLUMNS:
        table.add_column(column, justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(
            row.bench, row.case, _shown(row.value), row.unit, row.peer, _shown(row.peer_value), _shown(row.ratio),
            _floor(row), _shown(row.cpu_s), _shown(row.peak_mib), _shown(row.peer_cpu_s), _shown(row.peer_peak_mib),
        )  # fmt: skip
    console = Console()
    console.width = max(console.width, WIDE)
    console.print(table)


WIDE = 150
"""Columns of the table: it is cut rather than wrapped where the terminal has fewer."""
COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("bench", "left"), ("case", "left"), ("value", "right"), ("unit", "left"), ("peer", "left"),
    ("peer value", "right"), ("ratio", "right"), ("floor", "right"), ("CPU s", "right"), ("peak MiB", "right"),
    ("peer CPU s", "right"), ("peer MiB", "right"),
)  # fmt: skip


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _floor(row: Row) -> str:
    if row.floor is None:
        return ""
    sign = "≤" if row.floor_is_ceiling else "≥"
    colour = "green" if row.holds else "red"
    return f"[{colour}]{sign} {row.floor:g}[/{colour}]"
