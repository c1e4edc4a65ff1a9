"""When a running transfer stands still, and when all of a lane do. Pure: bytes and moments in, verdicts out.

aria2 has a time-out of its own, but begins anew after each: a stalled origin could keep a slot for minutes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

FLOOR_BYTES_PER_S = 64
"""Slower counts as stalled: a file of 1 MiB would take four and a half hours. The slowest modem was faster."""
BLOCK_BYTES = 16 << 10
"""aria2 counts what it has in such blocks, of which each connection fills one: until it is full, only the speed
tells that bytes come. It is an average and lags, so it is believed no longer than that."""
LOOKS_PER_TIMEOUT = 20
LOOK_EVERY_MAX_S = 1.0
UNSEEN_MAX_S = 5.0
"""Longer between two looks, and the time between counts for nothing: it was paused, or its aria2c was replaced."""
SLACK_S = 5.0
"""On top of a request's own time-outs, so that aria2 reports them in its own words."""
STANDSTILL_SHARE = 0.25
"""A lane that gets nothing at all for this part of the shortest patience gets another aria2c, once."""
TRIES = 3
RETRY_WAIT_S = 2.0
"""What counts for requests that name only one of `max-tries` and `retry-wait`."""

Options = Mapping[str, str | list[str]]


class Sample(NamedTuple):
    """A running transfer at one look."""

    task: str
    done: int
    """Bytes aria2 has."""
    speed: int
    """Bytes a second, as aria2 averages it over some ten seconds."""
    connections: int = 1


class Stalled(NamedTuple):
    task: str
    received: int
    """Bytes in the last `seconds`."""
    seconds: float


@dataclass
class _Window:
    """What came since a moment."""

    patience_s: float
    floor_bytes: float
    since: float = 0.0
    seen_at: float = 0.0
    received: float = 0.0
    done: int = 0
    done_at: float = 0.0
    """When `done` rose last."""


def patience_s(options: Options, stall_timeout_s: float) -> float:
    """How long a transfer with these options may receive (next to) nothing.

    A request that sets `timeout`, `max-tries` or `retry-wait` itself is given the time it asks for.
    """
    timeout = _number(options, "timeout") or 0.0
    tries, wait = _number(options, "max-tries"), _number(options, "retry-wait")
    waits = 0.0
    if tries is not None or wait is not None:
        waits = (TRIES if tries is None else tries) * (RETRY_WAIT_S if wait is None else wait)
    own_s = max(timeout, waits)
    return max(stall_timeout_s, own_s + SLACK_S) if own_s else stall_timeout_s


def floor_bytes_per_s(options: Options) -> float:
    """Below this a transfer stands still: never more than a request's own limits let through."""
    limits = [_size(options, name) for name in ("max-download-limit", "lowest-speed-limit")]
    return min([FLOOR_BYTES_PER_S, *(limit / 2 for limit in limits if limit)])


class StallWatch:
    """The running transfers of one lane. Costs a few sums for each of them at each look."""

    def __init__(self, stall_timeout_s: float) -> None:
        self._timeout_s = stall_timeout_s
        self.look_every_s = min(LOOK_EVERY_MAX_S, stall_timeout_s / LOOKS_PER_TIMEOUT)
        self._windows: dict[str, _Window] = {}
        self._moved_at = 0.0
        self._was_replaced = False
        """For standing still, and nothing came since."""

    def __repr__(self) -> str:
        return f"<StallWatch {self._timeout_s:g} s, {len(self._windows)} transfers>"

    def begin(self, task: str, options: Options) -> None:
        """Watch a transfer; one that is added again within an attempt keeps its window."""
        if task not in self._windows:
            patience = patience_s(options, self._timeout_s)
            self._windows[task] = _Window(patience, floor_bytes_per_s(options) * patience)

    def limit(self, task: str, options: Options) -> None:
        """It may have so little from now on that it must not count as standing still."""
        if (window := self._windows.get(task)) is not None:
            window.floor_bytes = min(window.floor_bytes, floor_bytes_per_s(options) * window.patience_s)

    def forget(self, task: str) -> None:
        self._windows.pop(task, None)

    def look(self, running: Iterable[Sample], now: float) -> list[Stalled]:
        """Those that stand still. `now`: seconds of any steady clock."""
        stalled = []
        for sample in running:
            window = self._windows.get(sample.task)
            if window is None:
                continue
            if self._gained(window, sample, now) > 0:
                self._moved_at, self._was_replaced = now, False
            if window.received >= window.floor_bytes:
                window.since, window.received = now, 0.0
            elif now - window.since >= window.patience_s:
                stalled.append(Stalled(sample.task, int(window.received), now - window.since))
        return stalled

    def all_stand_still(self, held: Iterable[str], now: float) -> bool:
        """Whether aria2 itself is to be suspected: it holds transfers, and no byte came for any of them.

        True once; again only after something moved.
        """
        patiences = [self._windows[task].patience_s for task in held if task in self._windows]
        if not patiences:
            self._moved_at = now
            return False
        if self._was_replaced or now - self._moved_at < STANDSTILL_SHARE * max(patiences):
            return False
        self._was_replaced, self._moved_at = True, now
        return True

    def moved(self, now: float) -> None:
        """A transfer ended by itself, or the daemon is a new one."""
        self._moved_at = now

    def _gained(self, window: _Window, sample: Sample, now: float) -> float:
        """Bytes since the last look, added to the window."""
        unseen_s = now - window.seen_at
        if not window.seen_at:
            window.since, unseen_s = now, 0.0
        elif unseen_s > UNSEEN_MAX_S:
            window.since, window.done_at = window.since + unseen_s, window.done_at + unseen_s
            unseen_s = 0.0
        gained = float(max(0, sample.done - window.done)) if window.seen_at else 0.0
        if gained or not window.seen_at:
            window.done_at = now
        elif sample.speed * (now - window.done_at) < (sample.connections + 1) * BLOCK_BYTES:
            gained = sample.speed * unseen_s
        window.seen_at, window.done = now, sample.done
        window.received += gained
        return gained


def _number(options: Options, name: str) -> float | None:
    value = options.get(name)
    return float(value) if isinstance(value, str) and value.isdigit() else None


def _size(options: Options, name: str) -> float | None:
    """aria2's sizes: a number, or one with K or M."""
    value = options.get(name)
    if not isinstance(value, str) or not value:
        return None
    unit = {"K": 1 << 10, "M": 1 << 20}.get(value[-1].upper(), 1)
    digits = value[:-1] if unit > 1 else value
    return float(digits) * unit if digits.isdigit() else None
