"""Which sessions aria2 may have: never more running than slots, in the order of the queue. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from node.daemon import Lane
from node.session import Session


class Admission(NamedTuple):
    tasks: frozenset[str]
    """May be given to aria2 now."""
    small_slots: int
    """How many the small lane may run at once; the rest of what it holds waits inside it."""


def admit(sessions: Iterable[Session], slots: int, prefetch: int) -> Admission:
    """First come first served, higher priority first; the small lane is handed `prefetch` more than runs.

    A small file takes less time than the round trip that would replace it, so the next ones wait inside
    aria2. Whatever has begun keeps its place.
    """
    ready = [one for one in sessions if one.holds_slot or one.awaits_slot]
    ready.sort(
        key=lambda one: (not one.holds_slot, -(one.row.request.priority if one.row.request else 0), one.sequence)
    )
    admitted: list[str] = []
    large = small = 0
    for one in ready:
        is_small = one.lane == Lane.SMALL
        if one.holds_slot:
            large, small = large + (not is_small), small + is_small
        elif is_small and large + small < slots + prefetch and large < slots:
            small += 1
            admitted.append(one.task)
        elif not is_small and large + small < slots:
            large += 1
            admitted.append(one.task)
        else:
            break  # what comes later must not overtake it for ever
    return Admission(frozenset(admitted), max(1, slots - large))
