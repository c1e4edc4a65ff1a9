"""What is to be changed in the store. Pure."""

from datetime import datetime

from msgspec import Struct

from schemas.task import StoredRow


class RowCame(Struct, frozen=True, gc=False):
    """A row stands in TASKS."""

    stored: StoredRow


class Ended(Struct, frozen=True, gc=False):
    """An outcome stands in the log, under this sequence."""

    body: bytes
    sequence: int


class Dismissal(Struct, frozen=True, gc=False):
    """A task's owner does not want to see it any more."""

    task: str
    sequence: int


class Runs(Struct, frozen=True, gc=False):
    """A node said whether it is at work on this attempt."""

    task: str
    attempt: int
    node: str
    active: bool


class Seen(Struct, frozen=True, gc=False):
    """A reading of the whole table showed that this task has a row."""

    task: str


Change = RowCame | Ended | Dismissal | Runs | Seen


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return round(moment.timestamp() * 1_000_000)


def key_of(moment: datetime | None, number: int) -> int:
    """What tasks are sorted by: their moment, and then a part of their id, the same in every gateway."""
    return bound(moment) | (number & ((1 << TIE_BITS) - 1)) if moment is not None else 0


def bound(moment: datetime) -> int:
    """The lowest key of a moment; of one that is too far away for keys (the year 2255), the last that there is."""
    return max(-MICROS_MAX, min(MICROS_MAX, micros(moment))) << TIE_BITS


def line_of(priority: int, order: int) -> str:
    """Where a live task stands in line: as text, the first is the least."""
    return f"{PRIORITY_MAX - priority:02d}{max(0, order):019d}"


PRIORITY_MAX = 10
"""The highest that a request may have; the lowest is as far below 0."""
TIE_BITS = 10
"""Of an id: microseconds since 1970 take 53 of the 63 there are, until 2255."""
MICROS_MAX = (1 << (63 - TIE_BITS)) - 1
_ID_CHARS = 16
_SIGNED = 1 << 63


def number_of(task: str) -> int | None:
    """A task's id as the number that it is stored under; None for what is no id."""
    if len(task) != _ID_CHARS or task != task.lower():
        return None
    try:
        return int(task, 16) - _SIGNED
    except ValueError:
        return None


def task_of(number: int) -> str:
    return f"{number + _SIGNED:016x}"
