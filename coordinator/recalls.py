"""What may have to be asked back: tasks of origins that began to cool a moment ago. Pure: the caller tells the time."""

from collections import deque
from collections.abc import Iterable, Iterator

PLACED_MAX = 20_000
"""Placements remembered: some seconds' worth at full speed."""


class Recalls:
    """Origins to look after for a while, and tasks whose nodes may not have told of them yet."""

    def __init__(self, look_s: float) -> None:
        """`look_s`: how long after an origin began to cool somebody may come who did not know it."""
        self._look_s = look_s
        self._until: dict[str, float] = {}
        self._placed: deque[tuple[float, str]] = deque(maxlen=PLACED_MAX)

    def __repr__(self) -> str:
        return f"<Recalls for {len(self._until)} origins>"

    def cool(self, origin: str, now: float) -> None:
        """From now on nothing may be begun from it."""
        self._until[origin] = now + self._look_s

    def origins(self, now: float) -> frozenset[str]:
        """Those whose waiting tasks are to be asked back."""
        self._until = {origin: until for origin, until in self._until.items() if until > now}
        return frozenset(self._until)

    def placed(self, tasks: Iterable[str], now: float) -> None:
        self._placed.extend((now, task) for task in tasks)

    def lately(self, now: float) -> Iterator[str]:
        """Tasks placed a moment ago: their nodes' heartbeats may not tell of them yet."""
        while self._placed and self._placed[0][0] < now - self._look_s:
            self._placed.popleft()
        return (task for _, task in tuple(self._placed))
