"""What a node limits: a lane's aria2, single downloads, and what comes from an origin. Pure."""

import math
from collections.abc import Mapping

from node.throttle import Allowance, Throttle
from node.transfers import Addition, Status, Transfer
from schemas.filling import fill
from schemas.options import DOWNLOAD_LIMIT
from schemas.origins import origins_of
from schemas.sizes import parse_size

BRIEF_S = 0.5
"""A file that an origin's share lets through within this time is not held back on its way, but before it begins."""
FIRST_READ_BYTES = 16 << 10
"""aria2 reads so much of each connection before it looks at any limit."""
PER_AVERAGE_S = 11.0
"""No more came since the last look than aria2's average over so long: the rest lay on the disk already."""
SPARE = 1.25
"""What does not use its part keeps so many times what it uses …"""
LEAST_PART = 0.05
"""… and this part of the whole, to begin something more with."""
METER_S = 3.0
"""What comes in a second is told over so long."""


class Meter:
    """Bytes a second, with the weight of what was longer ago fading."""

    def __init__(self, now: float) -> None:
        self._at = now
        self.rate = 0.0

    def saw(self, received: int, now: float) -> None:
        seconds = max(1e-3, now - self._at)
        part = 1 - math.exp(-seconds / METER_S)
        self.rate += (received / seconds - self.rate) * part
        self._at = now


class Limited:
    """Something with a limit of its own at aria2: a lane's daemon, or a download."""

    def __init__(self, now: float) -> None:
        self.throttle: Throttle | None = None
        """None while there is no limit."""
        self.meter = Meter(now)

    def held(self, now: float, average: int) -> Throttle:
        """Its throttle, which begins here where there was no limit; `average`: as aria2 tells it."""
        if self.throttle is None:
            self.throttle = Throttle(now, average)
        return self.throttle

    def holds_back(self, now: float) -> bool:
        return self.throttle is not None and self.throttle.holds_back(now)


class Task(Limited):
    """One download that aria2 has."""

    def __init__(self, lane: str, addition: Addition, now: float) -> None:
        super().__init__(now)
        self.lane = lane
        self.origins = origins_of(addition.uris)
        self.own_limit = _own_limit(addition)
        self.size = addition.size
        self.done: int | None = None
        """At the last look; None before the first."""
        self.speed = 0
        self.charged = 0
        """Bytes that its origins were charged before they came."""

    def is_brief(self, part: int) -> bool:
        """Whether an origin's share lets it through at once."""
        return 0 < self.size <= part * BRIEF_S


class Lane(Limited):
    """One aria2 daemon."""

    speed = 0


class Origin:
    """What came from an origin of which there is a share, and what may."""

    def __init__(self, now: float) -> None:
        self.allowance = Allowance(now)
        self.meter = Meter(now)
        self.used_at = now
        self.made_wait_at = -math.inf
        """When something was last not begun for its sake."""


def divided(whole: float, among: Mapping[str, Limited], now: float) -> dict[str, float]:
    """All of it, by need: those that are held back by what they have get what the others do not use."""
    if not among:
        return {}
    needs = {
        name: math.inf if one.holds_back(now) else SPARE * one.meter.rate + LEAST_PART * whole
        for name, one in among.items()
    }
    parts = fill(whole, needs)
    rest = (whole - sum(parts.values())) / len(parts)
    return {name: part + rest for name, part in parts.items()}


def received_of(task: Task, transfer: Transfer | None) -> int:
    """Bytes of a download that came since the last look."""
    if transfer is None:
        return 0
    before, task.done, task.speed = task.done, transfer.done, transfer.speed
    if transfer.status is Status.COMPLETE:
        return max(0, transfer.done - (before or 0))
    # What lay on the disk already is loaded when the download begins.
    return min(max(0, transfer.done - (before or 0)), int(transfer.speed * PER_AVERAGE_S) + FIRST_READ_BYTES)


def _own_limit(addition: Addition) -> int:
    """What the request asks for; 0 for no limit."""
    asked = addition.options.get(DOWNLOAD_LIMIT)
    return parse_size(asked) if isinstance(asked, str) else 0
