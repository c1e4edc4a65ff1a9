"""How many bytes may come now, and which limit to set at aria2 so that no more do. Pure: bytes and moments in.

aria2 compares its limit with an average over the last ten seconds, of which it forgets a second at a time. Left alone,
a limit that rises from 1 to 4 MB/s lets thirty megabytes through at once, one that falls stops everything for up to
ten seconds, and each burst is echoed ten seconds later. So its average is followed here, and with each look at aria2
the limit is set to what that average becomes when as much has come as may.
"""

from collections import deque

WINDOW_S = 10.0
"""Over so long does aria2 average …"""
SLOT_S = 1.0
"""… in slots of this length."""
SLACK_S = 0.4
"""A slot may be forgotten so much earlier than is known here: bytes are seen late, and the next look comes later."""
HEAVY_TIMES = 6.0
"""A past that was so much faster is a sum of which a little is a lot: aria2 is left alone until it has forgotten it."""
BURST_S = 1.5
"""What might have come in this time may come at once: aria2 looks at a held back download once a second."""
DEBT_S = 3.0
"""More than so long nothing is kept back, whatever came too much."""
HELD_BACK_S = 3.0
"""Longer than aria2 lies still between two bursts."""


class Allowance:
    """What may come, by a rate that may change at any time."""

    def __init__(self, now: float) -> None:
        self.credit = 0.0
        """Bytes that may come now; below 0: too many came."""
        self._at = now
        self._full_at = now
        """When more was allowed last than came."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} credit {self.credit:.0f}>"

    def refill(self, rate: float, now: float) -> None:
        """`rate` is what was allowed since the last time, bytes a second."""
        self.credit += rate * (now - self._at)
        self.credit = max(-DEBT_S * rate, min(BURST_S * rate, self.credit))
        self._at = now
        if self.credit >= BURST_S * rate:
            self._full_at = now

    def take(self, received: int) -> None:
        """So many bytes came; below 0: fewer than were taken before."""
        self.credit -= received

    def holds_back(self, now: float) -> bool:
        """Whether all that was allowed has come, for some seconds: more would, if more were."""
        return now - self._full_at >= HELD_BACK_S

    def rest(self, now: float) -> None:
        """Nothing was to come until now."""
        self._at, self.credit, self._full_at = now, min(0.0, self.credit), now


class Throttle(Allowance):
    """One limit of one aria2: of the whole daemon, or of a download."""

    def __init__(self, now: float, average: int = 0) -> None:
        """`average`: what aria2 tells of the last seconds, in which nothing was limited."""
        super().__init__(now)
        self._slots: deque[tuple[float, int]] = deque()
        """When each began, and its bytes: what aria2 averages over."""
        if average:
            self._slots.extend((now - past * SLOT_S, int(average * SLOT_S)) for past in range(int(WINDOW_S), 0, -1))

    def saw(self, received: int, now: float) -> None:
        """So many bytes came since the last look."""
        self.take(received)
        self._forget(now)
        if self._slots and now - self._slots[-1][0] < SLOT_S:
            began, had = self._slots[-1]
            self._slots[-1] = began, had + received
        elif received:
            self._slots.append((now, received))

    def limit(self, rate: float, now: float) -> int:
        """Bytes a second to set, where `rate` is allowed; at least 1, for 0 means none to aria2."""
        self.refill(rate, now)
        self._forget(now)
        if not self._slots:
            return max(1, int(min(rate, self.credit + rate / 4)))
        forgotten = sum(began < now - WINDOW_S + SLACK_S for began, _ in self._slots)
        limit = min(self._average(now, perhaps) for perhaps in range(forgotten + 1))
        if sum(size for _, size in self._slots) > HEAVY_TIMES * rate * SLOT_S * len(self._slots):
            self._full_at = min(self._full_at, now - HELD_BACK_S)
            limit = min(limit, rate)
        return max(1, int(limit))

    def _average(self, now: float, forgotten: int) -> float:
        """aria2's average once it has forgotten so many slots and all the credit has come."""
        left = list(self._slots)[forgotten:]
        elapsed = max(SLACK_S, now - left[0][0]) if left else SLOT_S
        return (sum(size for _, size in left) + self.credit) / elapsed

    def _forget(self, now: float) -> None:
        while self._slots and now - self._slots[0][0] > WINDOW_S:
            self._slots.popleft()
