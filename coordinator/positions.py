"""Positions in a queue: which order a task gets so that it stands where it is wished to stand. Pure.

A queue is what waits of one owner with one priority, sorted by order and then by id. An order is a whole number above
0, mostly nanoseconds, so that there is nearly always room between two; where there is none, neighbours move apart.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schemas.control import How
from schemas.errors import DowndraftError

SPACE = 1 << 20
"""Between what is put at the front and its neighbour, about a millisecond: room for further ones."""
SPACE_BEHIND = 1 << 10
"""… at the back, a microsecond: even behind a thousand tasks goes whatever is submitted a moment later."""
COMFORT = 64
"""Neighbours that move apart leave so much for each, lest the very next task sets them going again."""
NEIGHBOURS_MAX = 512
"""So many rows are rewritten to make room: a fraction of a second."""


class NoRoom(DowndraftError):
    """More tasks than can be moved apart have one order."""


class Slot(NamedTuple):
    """A queued task; sorts as it will be placed."""

    order: int
    task: str


class Plan(NamedTuple):
    """What is to be written so that tasks stand where they are wished to stand."""

    shifts: tuple[Slot, ...]
    """Neighbours that make room, with their new orders. Written one after the other as they stand here, none of them
    ever overtakes another."""
    orders: dict[str, int]
    """New orders of the tasks that are moved; one that stands right already is not in it."""
    positions: dict[str, int]
    """Where each of them stands then: how many go before it."""


def target(how: How, position: int, others: Sequence[Slot], moving: Sequence[Slot]) -> int:
    """How many of the others go before the first of the `moving` (both sorted), as aria2's changePosition counts."""
    counted_from = {How.SET: 0, How.CUR: bisect_left(others, moving[0]), How.END: len(others)}[how]
    return min(max(0, counted_from + position), len(others))


def staying(others: Sequence[Slot], moving: Sequence[Slot]) -> Plan:
    """What `insert` would return for tasks that keep their orders. Both are sorted."""
    return Plan((), {}, {slot.task: bisect_left(others, slot) + rank for rank, slot in enumerate(moving)})


def insert(others: Sequence[Slot], index: int, moving: Sequence[Slot], now_ns: int) -> Plan:
    """Put the `moving` together behind the first `index` of the others, keeping their own order. Both are sorted.

    At the end they go behind what was submitted before `now_ns`, even if it is not claimed yet. Raises NoRoom.
    """
    if all(bisect_left(others, slot) == index for slot in moving):
        return staying(others, moving)
    left, right, orders = _window(others, index, len(moving), now_ns)
    first = index - left
    new = dict(zip([slot.task for slot in moving], orders[first : first + len(moving)], strict=True))
    around = [*orders[:first], *orders[first + len(moving) :]]
    shifts = tuple(_one_by_one(others[left:right], around))
    return Plan(shifts, new, {slot.task: index + rank for rank, slot in enumerate(moving)})


def _window(others: Sequence[Slot], index: int, count: int, now_ns: int) -> tuple[int, int, list[int]]:
    """The smallest stretch of the others that can make room for `count` more, and orders for all in it."""
    tight: tuple[int, int, list[int]] | None = None
    reach = 0
    while True:
        left, right = max(0, index - reach), min(len(others), index + reach)
        low, high = _bounds(others, left, right, count, now_ns)
        room, needed = high - low, right - left + count
        if room > needed:
            tight = left, right, [low + room * (rank + 1) // (needed + 1) for rank in range(needed)]
            if not reach or room > COMFORT * needed:
                return tight
        if reach >= NEIGHBOURS_MAX // 2:
            break
        reach = min(max(1, reach * 2), NEIGHBOURS_MAX // 2)
    if tight is None:
        raise NoRoom(f"more than {NEIGHBOURS_MAX} tasks of one moment stand there: move it to the front or the back")
    return tight


def _bounds(others: Sequence[Slot], left: int, right: int, count: int, now_ns: int) -> tuple[int, int]:
    """Between which orders, both exclusive, `others[left:right]` and `count` more may stand."""
    spaces = right - left + count + 1
    low = others[left - 1].order if left else max(0, others[0].order - SPACE * spaces)
    if right < len(others):
        return low, others[right].order
    last = max(others[-1].order, now_ns)
    return (last if left == right else low), last + SPACE_BEHIND * spaces


def _one_by_one(slots: Sequence[Slot], orders: Sequence[int]) -> Iterator[Slot]:
    """Each with its new order: first what moves up, foremost first; then what moves down, hindmost first."""
    changed = [(slot, order) for slot, order in zip(slots, orders, strict=True) if order != slot.order]
    yield from (Slot(order, slot.task) for slot, order in changed if order < slot.order)
    yield from (Slot(order, slot.task) for slot, order in reversed(changed) if order > slot.order)
