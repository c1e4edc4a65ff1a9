"""How often a lane asks its aria2 while nothing begins or ends: by what may end soon, and what a look costs. Pure."""

from collections.abc import Iterable

from node.transfers import Status, Transfer

LAZY_S = 1.0
"""The longest: progress is told once a second."""
ENDS_TIMES = 3
"""So many looks at least before the first of them may be whole: its speed is an average, and may have risen."""
COST_TIMES = 4
"""A look takes a fifth of the time at most, however much it has to tell."""


def pause_s(transfers: Iterable[Transfer], usual_s: float, took_s: float) -> float:
    """Seconds until the next look where nobody waits for a slot; the last one took `took_s`."""
    return max(usual_s, min(LAZY_S, soonest_end_s(transfers) / ENDS_TIMES), least_s(took_s))


def least_s(took_s: float) -> float:
    """Seconds between two looks, whoever waits."""
    return min(LAZY_S, COST_TIMES * took_s)


def soonest_end_s(transfers: Iterable[Transfer]) -> float:
    """When the first may be whole, seconds; 0 where that may be at any moment."""
    return min((_end_s(one) for one in transfers), default=LAZY_S * ENDS_TIMES)


def _end_s(transfer: Transfer) -> float:
    if transfer.status is not Status.ACTIVE or not transfer.total or transfer.is_verifying:
        return 0.0  # it begins or ends just now, or does not say how much is to come
    return (transfer.total - transfer.done) / max(1, transfer.speed)
