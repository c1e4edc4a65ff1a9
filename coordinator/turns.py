"""Whose turn it is: owners get placements in proportion to their weights. Pure.

Each owner has a clock that a placement moves forward by one over the owner's weight; whose clock shows least goes next.
"""

from schemas.policy import Policy

CREDIT_MAX = 1.0
"""How far an owner whose tasks can't be placed may fall behind, in placements of its own: it catches up with these once
they can, and no more, so that another's first waits for no more either."""
FORGET_ABOVE = 1024
"""Clocks kept before those are dropped of which nothing is left to know."""


class Turns:
    """The owners' clocks."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._clocks: dict[str, float] = {}
        self._waiting: set[str] = set()
        self._now = 0.0
        """Where the clock of the owner stood that was served last."""

    def __repr__(self) -> str:
        return f"<Turns of {len(self._clocks)} owners>"

    def follow(self, policy: Policy) -> None:
        """Other weights from now on; nobody's clock goes back by that."""
        self._clocks = {owner: self.of(owner) for owner in self._clocks}
        self.policy = policy

    def of(self, owner: str) -> float:
        clock = self._clocks.get(owner)
        if clock is None or clock >= self._now:
            return self._now if clock is None else clock
        return max(clock, self._now - CREDIT_MAX / self.policy.owner(owner).weight)

    def enters(self, owner: str) -> None:
        """It has something to be placed again: the time in which it wanted nothing earns it nothing."""
        self._waiting.add(owner)
        self._clocks[owner] = max(self._now, self._clocks.get(owner, 0.0))

    def leaves(self, owner: str) -> None:
        """It has nothing to be placed: what it is ahead by is remembered."""
        self._waiting.discard(owner)

    def served(self, owner: str) -> None:
        """A task of it was placed."""
        clock = self.of(owner)
        if clock > self._now:
            self._now = clock
        self._clocks[owner] = clock + 1.0 / self.policy.owner(owner).weight
        if len(self._clocks) > FORGET_ABOVE + 2 * len(self._waiting):
            self._clocks = {name: at for name, at in self._clocks.items() if at > self._now or name in self._waiting}
