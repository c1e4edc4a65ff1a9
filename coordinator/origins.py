"""What each origin allows: how many at once in the whole cluster, and nothing at all while it cools down. Pure."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from weakref import WeakValueDictionary

from coordinator.gates import Gate
from schemas.origins import entry_for
from schemas.policy import OriginPolicy, Policy

_NO_LIMITS = OriginPolicy()


def limits_of(policy: Policy, origin: str) -> OriginPolicy:
    """What a policy says of an origin (`host:port`): its most exact entry."""
    if not policy.origins:
        return _NO_LIMITS
    entry = entry_for(origin, policy.origins)
    return policy.origins[entry] if entry is not None else _NO_LIMITS


class Origins:
    """Counts, limits and gates by origin (`host:port`)."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._running: Counter[str] = Counter()
        """Tasks at nodes or on their way there."""
        self._cooling: dict[str, float] = {}
        """Until when, broker time."""
        self._stopping: dict[str, float] = {}
        """Those of them of which only something is to stop by then."""
        self._ends: list[tuple[float, str]] = []
        self._kept: frozenset[str] = frozenset()
        """Those of which one place is kept for a task that needs several things."""
        self._gates: WeakValueDictionary[str, Gate] = WeakValueDictionary()
        """Those that cells wait behind: they keep them alive."""

    def __repr__(self) -> str:
        return f"<Origins {len(self._running)} in use, {len(self._cooling)} cooling>"

    @property
    def has_limits(self) -> bool:
        """Whether any origin may be special."""
        return bool(self._policy.origins or self._cooling)

    def running(self, origin: str) -> int:
        return self._running[origin]

    def limit(self, origin: str) -> int | None:
        """How many may run at once; None for any number."""
        return limits_of(self._policy, origin).running

    def is_limited(self, origins: Iterable[str]) -> bool:
        return bool(self._policy.origins) and any(self.limit(origin) is not None for origin in origins)

    def special(self, origins: tuple[str, ...]) -> tuple[str, ...]:
        """Those of a task's origins that may hold it up."""
        if not self.has_limits:
            return ()
        found = tuple(origin for origin in origins if origin in self._cooling or self.limit(origin) is not None)
        return tuple(sorted(set(found))) if len(found) > 1 else found

    def gate(self, origin: str) -> Gate:
        gate = self._gates.get(origin)
        if gate is None:
            gate = self._gates[origin] = Gate()
            gate.is_closed = self.held_back(origin) != ""
        return gate

    def cooling_until(self, origin: str) -> float | None:
        """Broker time; None where it does not cool down."""
        return self._cooling.get(origin)

    def is_stopping(self, origin: str) -> bool:
        """Whether it cools down for no other reason than that something of it is to stop."""
        return origin in self._cooling and self._stopping.get(origin) == self._cooling[origin]

    def held_back(self, origin: str) -> str:
        """Why nothing is begun from an origin now; empty where something may be."""
        if origin in self._cooling:
            return "cooling"
        return "" if self._allows(origin, 1 if origin in self._kept else 0) else "full"

    def allow(self, origins: tuple[str, ...]) -> bool:
        """Whether their limits leave room for the task for which a place is kept."""
        return all(self._allows(origin, 0) for origin in origins)

    def keep(self, origins: tuple[str, ...]) -> list[Gate]:
        """Keep one place of each of these, and of no other; the gates that may be opened by that."""
        before, self._kept = self._kept, frozenset(origins)
        return [gate for origin in sorted(before ^ self._kept) for gate in self._look(origin)]

    def _allows(self, origin: str, kept: int) -> bool:
        limit = self.limit(origin)
        return limit is None or self._running[origin] + kept < limit

    def take(self, origins: tuple[str, ...]) -> None:
        """A task of these stands at a node from now on."""
        for origin in set(origins) if len(origins) > 1 else origins:
            self._running[origin] += 1
            if self.has_limits:
                self._look(origin)

    def give(self, origins: tuple[str, ...]) -> Iterator[Gate]:
        """It does no more; the gates that may be opened by that."""
        for origin in set(origins) if len(origins) > 1 else origins:
            self._running[origin] -= 1
            if self._running[origin] <= 0:
                del self._running[origin]
            if self.has_limits:
                yield from self._look(origin)

    def cool(self, origin: str, until: float) -> None:
        """Begin nothing from an origin before `until`."""
        if until > self._cooling.get(origin, 0.0):
            self._cooling[origin] = until
            heapq.heappush(self._ends, (until, origin))
            self._look(origin)

    def let_stop(self, origin: str, until: float) -> None:
        """Begin nothing from an origin before `until`, by when a download that should not be any more has stopped."""
        if until > self._cooling.get(origin, 0.0):
            self._stopping[origin] = until
            self.cool(origin, until)

    def warm_up(self, now: float) -> list[Gate]:
        """The gates of those that need not cool down any more at `now`."""
        found: list[Gate] = []
        while self._ends and self._ends[0][0] <= now:
            until, origin = heapq.heappop(self._ends)
            if self._cooling.get(origin) == until:
                del self._cooling[origin]
                self._stopping.pop(origin, None)
                found += self._look(origin)
        return found

    def cooling(self) -> dict[str, float]:
        """Until when, broker time, by origin."""
        return dict(self._cooling)

    def follow(self, policy: Policy) -> list[Gate]:
        """Other limits from now on; the gates that may be opened by that."""
        self._policy = policy
        return [gate for origin in tuple(self._gates) for gate in self._look(origin)]

    def _look(self, origin: str) -> list[Gate]:
        """Close its gate, or say that it may be opened."""
        gate = self._gates.get(origin)
        if gate is None:
            return []
        if self.held_back(origin):
            gate.close()
            return []
        if gate.is_closed:
            return [gate]
        return []
