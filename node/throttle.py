"""Which limit to set at aria2, from moment to moment, so that no more comes than is allowed. Pure.

aria2 compares its limit with an average over the last ten seconds, of which it drops a second at a time. Left alone, a
limit that rises from 1 to 4 MB/s lets thirty megabytes through at once, one that falls stops everything for up to ten
seconds, and each burst is echoed ten seconds later. So its average is followed here, and the limit is set, with each
look at aria2, to what that average becomes when as much has come as is allowed by then.
"""

from collections import deque

WINDOW_S = 10.0
"""Over so long does aria2 average …"""
SLOT_S = 1.0
"""… in slots of this length."""
SLACK_S = 0.4
"""A slot may be dropped so much earlier than is known here: bytes are seen late, and the next look comes later."""
HEAVY_TIMES = 6.0
"""A past that was so much faster than what is allowed now is a large sum, of which a little is a lot …"""
HEAVY_SLACK_S = 1.3
"""… so that it matters where aria2's slots begin, which is not known: rather nothing comes until it is forgotten."""
BURST_S = 1.5
"""What was allowed for so long and did not come may come at once: aria2 wakes a held back download once a second."""
DEBT_S = 3.0
"""More than so long nothing is kept back, whatever came too much."""


class Throttle:
    """One limit of one aria2: of the whole daemon, or of a download."""

    def __init__(self, now: float) -> None:
        self._slots: deque[tuple[float, int]] = deque()
        """When each began, and its bytes: what aria2 averages over."""
        self._at = now
        self.credit = 0.0
        """Bytes that may come now; below 0: came too much."""

    def __repr__(self) -> str:
        return f"<Throttle {len(self._slots)} slots, credit {self.credit:.0f}>"

    def saw(self, received: int, now: float) -> None:
        """So many bytes came since the last look."""
        self._drop(now)
        self.credit -= received
        if self._slots and now - self._slots[-1][0] < SLOT_S:
            began, had = self._slots[-1]
            self._slots[-1] = began, had + received
        elif received:
            self._slots.append((now, received))

    def limit(self, rate: float, now: float) -> int:
        """Bytes a second to set, where `rate` is allowed from here on; at least 1, for 0 means none to aria2."""
        self.credit += rate * (now - self._at)
        self.credit = max(-DEBT_S * rate, min(BURST_S * rate, self.credit))
        self._at = now
        self._drop(now)
        if not self._slots:
            return max(1, int(min(rate, self.credit + rate / 4)))
        is_heavy = max(size for _, size in self._slots) > HEAVY_TIMES * rate * SLOT_S
        dropped_by = now - WINDOW_S + (HEAVY_SLACK_S if is_heavy else SLACK_S)
        perhaps = sum(began < dropped_by for began, _ in self._slots)
        return max(1, int(min(self._average(now, dropped) for dropped in range(perhaps + 1))))

    def _average(self, now: float, dropped: int) -> float:
        """aria2's average once it has dropped so many slots and all the credit has come."""
        left = list(self._slots)[dropped:]
        elapsed = max(SLACK_S, now - left[0][0]) if left else SLOT_S
        return (sum(size for _, size in left) + self.credit) / elapsed

    def _drop(self, now: float) -> None:
        while self._slots and now - self._slots[0][0] > WINDOW_S:
            self._slots.popleft()
