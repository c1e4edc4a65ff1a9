"""How fast each node finishes tasks, and so how many it may hold beyond its slots. Pure: the caller tells the time."""

import math

HALF_LIFE_S = 2.0
AHEAD_S = 1.0
"""What waits at a node beyond its slots should be gone this soon: late binding is what balances load."""
SHARE_MIN = 4
"""A quarter of the slots may always wait there, so that a free slot need not wait for a round trip."""
SLOTS_MAX = 4
"""Never more than so many times the slots, however fast it is."""


class Turnover:
    """Tasks a second that left each node, as an average that forgets."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float]] = {}
        """Decayed count and its moment."""

    def __repr__(self) -> str:
        return f"<Turnover of {len(self._seen)} nodes>"

    def left(self, node: str, now: float) -> None:
        """A task came to its end at `node`."""
        self._seen[node] = self._decayed(node, now) + 1.0, now

    def per_s(self, node: str, now: float) -> float:
        return self._decayed(node, now) * math.log(2) / HALF_LIFE_S

    def prefetch(self, node: str, slots: int, now: float) -> int:
        """How many tasks the node may hold beyond its slots."""
        ahead = int(self.per_s(node, now) * AHEAD_S)
        return min(max(1, slots // SHARE_MIN, ahead), SLOTS_MAX * slots)

    def forget(self, nodes: set[str]) -> None:
        """Keep only what is known of `nodes`."""
        self._seen = {node: seen for node, seen in self._seen.items() if node in nodes}

    def _decayed(self, node: str, now: float) -> float:
        count, at = self._seen.get(node, (0.0, now))
        return float(count * 0.5 ** ((now - at) / HALF_LIFE_S))
