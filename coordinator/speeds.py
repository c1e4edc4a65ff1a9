"""How fast each node downloaded from each origin. Pure."""

from collections import Counter, OrderedDict

PAIRS_MAX = 20_000
"""Nodes and origins remembered; those least lately measured go first. About 3 MB."""
NEW_SHARE = 0.3
"""What the latest measure counts against those before it."""
BYTES_MIN = 64 * 1024
"""A smaller file tells of the round trip, not of the line."""


class Speeds:
    """Bytes a second by node and origin: an average that follows."""

    def __init__(self) -> None:
        self._measured: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._pairs_of: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Speeds of {len(self._measured)} pairs>"

    def measured(self, node: str, origin: str, size: int, seconds: float) -> bool:
        """A download of `size` bytes took so long. False where it is too small to tell anything."""
        if size < BYTES_MIN or seconds <= 0:
            return False
        key, per_s = (node, origin), size / seconds
        if key not in self._measured:
            self._pairs_of[origin] += 1
        before = self._measured.pop(key, per_s)
        self._measured[key] = before + NEW_SHARE * (per_s - before)
        if len(self._measured) > PAIRS_MAX:
            (_, dropped), _ = self._measured.popitem(last=False)
            self._pairs_of[dropped] -= 1
            if not self._pairs_of[dropped]:
                del self._pairs_of[dropped]
        return True

    def knows(self, origin: str) -> bool:
        """Whether anything was measured of an origin."""
        return origin in self._pairs_of

    def of(self, node: str, origin: str) -> float | None:
        """Bytes a second; None where nothing was measured."""
        return self._measured.get((node, origin))
