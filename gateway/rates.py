"""How many requests a key may make: a bucket of tokens each, in this replica. Pure: it is told the time."""

from math import ceil

BURST_S = 2.0
"""What a key did not use of so many seconds it may use at once: pages ask for several things together."""
FORGOTTEN_ABOVE = 1024
"""So many keys are remembered before those that are owed everything are forgotten."""


class Rates:
    """Who asked how much lately: of each key the moment at which its bucket will be full again."""

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._full_at: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Rates {self._per_s}/s of {len(self._full_at)} keys>"

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: float, requests: int = 1) -> float:
        """Take from a key's bucket. 0, or the seconds after which to ask again; then nothing was taken."""
        if not self._per_s:
            return 0.0
        full_at = max(self._full_at.get(key, now), now)
        after = full_at + requests / self._per_s
        # More than a whole bucket at once is let through where the bucket is full: else it never would be.
        if full_at > now and after - now > BURST_S:
            return min(after - now - BURST_S, full_at - now)
        self._full_at[key] = after
        if len(self._full_at) > FORGOTTEN_ABOVE:
            self._full_at = {name: moment for name, moment in self._full_at.items() if moment > now}
        return 0.0


def retry_after(seconds: float) -> str:
    """As the header says it: whole seconds."""
    return str(max(1, ceil(seconds)))
