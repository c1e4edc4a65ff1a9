"""What will be struck and when: decided before the storm by a seed alone, so that a storm can be had again."""

import random
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

EVERY_S = 1.0
"""One fault a second, on the average."""
JITTER_S = 0.4
"""How far a fault may come from its full second, either way."""
QUIET_END_S = 2.0
"""Nothing is struck at the very end, and nothing stays frozen past it: the cluster is to show that it recovers."""
BROKER_EVERY_S = 10.0
"""The broker rests so long between two of its deaths: without it nothing else would be tried."""
COORDINATORS_EVERY_S = (4.0, 13.0)
"""A lease runs out and a standby takes over in the shorter time; in the longer one a leader, which judges nobody before
it has led for 10 s, finds out that a node is lost."""
NODE_DOWN_S = 5.0
"""How long a killed node counts as down: its supervisor waits a little, and it must start."""
LANE_EVERY_S = 2.0
"""A daemon that is not back yet can't be struck again."""
SHORT_FREEZE_S = (3.5, 8.0)
"""Longer than the lease (3 s), and mostly longer than a silent aria2c is borne (5 s)."""
LONG_FREEZE_S = (12.0, 18.0)
"""Longer than a silent node is waited for (10 s), and than others need to do its work."""
LONG_SHARE = 0.3
LANES = ("small", "large")
LEADER, STANDBY, BROKER = "leader", "standby", "nats-server"
LEADER_SHARE = 0.75


class Kind(StrEnum):
    """What is done to what."""

    NODE_KILLED = "node killed"
    NODE_FROZEN = "node frozen"
    COORDINATOR_KILLED = "coordinator killed"
    COORDINATOR_FROZEN = "coordinator frozen"
    ARIA2C_KILLED = "aria2c killed"
    ARIA2C_FROZEN = "aria2c frozen"
    BROKER_KILLED = "nats-server killed"

    @property
    def freezes(self) -> bool:
        return self.value.endswith("frozen")


DECK = {
    Kind.NODE_KILLED: 3,
    Kind.NODE_FROZEN: 3,
    Kind.COORDINATOR_KILLED: 3,
    Kind.COORDINATOR_FROZEN: 2,
    Kind.ARIA2C_KILLED: 4,
    Kind.ARIA2C_FROZEN: 2,
    Kind.BROKER_KILLED: 1,
}
"""Dealt like cards, with a new shuffled deck below when none may come: so each kind has its turns, in a short storm
too."""
OPENING = (Kind.NODE_FROZEN, Kind.COORDINATOR_KILLED, Kind.BROKER_KILLED)
"""Dealt first. The node sleeps past its loss, if there is time, and wakes to work that others have done."""
OF_NODES = frozenset({Kind.NODE_KILLED, Kind.NODE_FROZEN})
OF_COORDINATORS = frozenset({Kind.COORDINATOR_KILLED, Kind.COORDINATOR_FROZEN})


class Fault(Struct, frozen=True):
    """One blow. Seconds count from the beginning of the storm."""

    at_s: float
    kind: Kind
    target: str
    """A node, `<node>/<lane>`, `leader`, `standby` or `nats-server`: who leads is known only when it comes."""
    for_s: float = 0.0
    """How long it stays frozen."""


class _Planner:
    """Deals faults; remembers what is down until when, so that never everything is."""

    def __init__(self, dice: random.Random, seconds: float, nodes: Sequence[str]) -> None:
        self._dice = dice
        self._seconds = seconds
        self._nodes = nodes
        self._down_until: dict[str, float] = {}
        self._deck = list(OPENING)
        self._is_first = True
        self._led = False
        """Whether a leader was struck: a standby's turn comes after that."""
        self._down_until["coordinators"] = dice.choice(COORDINATORS_EVERY_S)

    def next(self, at_s: float) -> Fault | None:
        """The fault for this moment; None where nothing may be struck now."""
        for _ in range(2):
            for index, kind in enumerate(self._deck):
                if targets := self._targets(kind, at_s):
                    del self._deck[index]
                    return self._strike(kind, targets, at_s)
            # What may not come yet waits on top of a new deck.
            fresh = [kind for kind, number in DECK.items() for _ in range(number)]
            self._dice.shuffle(fresh)
            self._deck += fresh
        return None

    def _strike(self, kind: Kind, targets: Sequence[str], at_s: float) -> Fault:
        target = self._dice.choice(targets)
        for_s = self._freeze_s(at_s) if kind.freezes else 0.0
        rest_s = {Kind.NODE_KILLED: NODE_DOWN_S, Kind.BROKER_KILLED: BROKER_EVERY_S}.get(kind, LANE_EVERY_S)
        if kind in OF_COORDINATORS:
            target = STANDBY if self._led and self._dice.random() > LEADER_SHARE else LEADER
            self._led = True
            rest_s = self._dice.choice(COORDINATORS_EVERY_S)
        resting = "coordinators" if kind in OF_COORDINATORS else target
        self._down_until[resting] = at_s + max(rest_s, for_s + LANE_EVERY_S if for_s else 0.0)
        return Fault(round(at_s, 3), kind, target, round(for_s, 3))

    def _targets(self, kind: Kind, at_s: float) -> list[str]:
        up = [node for node in self._nodes if not self._is_down(node, at_s)]
        if kind in OF_NODES:
            return up if len(up) > 1 else []
        if kind in OF_COORDINATORS:
            return [] if self._is_down("coordinators", at_s) else [LEADER]
        if kind is Kind.BROKER_KILLED:
            return [] if self._is_down(BROKER, at_s) else [BROKER]
        lanes = [f"{node}/{lane}" for node in up for lane in LANES]
        return [lane for lane in lanes if not self._is_down(lane, at_s)]

    def _is_down(self, what: str, at_s: float) -> bool:
        return self._down_until.get(what, 0.0) > at_s

    def _freeze_s(self, at_s: float) -> float:
        is_long = self._is_first or self._dice.random() < LONG_SHARE
        self._is_first = False
        low, high = LONG_FREEZE_S if is_long else SHORT_FREEZE_S
        return min(self._dice.uniform(low, high), self._seconds - at_s)


def plan(seed: int, seconds: float, nodes: Sequence[str]) -> tuple[Fault, ...]:
    """The faults of a storm, in their order: about one a second, the same ones for the same arguments.

    At least one node and one coordinator are left alone at any moment. Two nodes or more are needed.
    """
    dice = random.Random(f"faults {seed}")  # noqa: S311 - a game, no secret
    planner = _Planner(dice, seconds, nodes)
    faults = []
    for second in range(1, int((seconds - QUIET_END_S) / EVERY_S) + 1):
        at_s = min(second * EVERY_S + dice.uniform(-JITTER_S, JITTER_S), seconds - QUIET_END_S)
        if (fault := planner.next(at_s)) is not None:
            faults.append(fault)
    return tuple(faults)
