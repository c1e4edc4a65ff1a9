"""A fleet that keeps to the shares it is given, late, and whose heartbeats lag and get lost: no broker, no clock."""

import math
import random
from collections.abc import Iterable

from coordinator.limits import TOTAL, Limits, Member
from coordinator.sharebook import ShareBook
from node.sharekeeper import STEADY_S
from schemas.heartbeat import Heartbeat
from schemas.nodes import ALONE_AFTER_S, NodeShare

ROUND_S = 2.0


class Sharer:
    """One node: what it wants, what it keeps to, what it says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.demand: dict[str, float] = {}
        """Bytes a second that its downloads would take, by origin."""
        self.share: NodeShare | None = None
        self.revision = 0
        self.speed: dict[str, float] = {}
        self.may_begin = False
        self.cut_off_for_s: float | None = None
        self.was_cut_off_for_s = 0.0
        self.back_for_s = math.inf
        self.is_alone = False
        self.coming: list[tuple[float, NodeShare | None, int]] = []
        """Shares on their way to it, and when they arrive."""

    def allowed(self, origin: str) -> float:
        """The most that may come, of one origin or in all."""
        if origin != TOTAL and not self.demand.get(origin):
            return 0.0  # nothing of it is here
        if self.share is None:
            return math.inf if self.demand else 0.0
        is_lapsed = self.cut_off_for_s is not None and self.cut_off_for_s >= ALONE_AFTER_S
        share = self.share.alone() if self.is_alone or is_lapsed else self.share
        part = share.bytes_per_s if origin == TOTAL else share.of(origin)
        return math.inf if part is None else part

    def come_back(self) -> None:
        """It was without the broker, and reads what stands before anything else."""
        self.is_alone |= self.cut_off_for_s is not None and self.cut_off_for_s >= ALONE_AFTER_S
        self.was_cut_off_for_s, self.back_for_s = self.cut_off_for_s or 0.0, 0.0
        self.cut_off_for_s = None
        for _, share, revision in sorted(self.coming, key=lambda one: one[2]):
            if revision > self.revision or share is None:
                self.share, self.revision = share, revision if share else 0
        self.coming.clear()

    def cut_off(self) -> None:
        """A broker that was back for a short time only does not count as back."""
        was_back = self.back_for_s >= STEADY_S
        self.cut_off_for_s = 0.0 if was_back else self.was_cut_off_for_s + self.back_for_s

    def step(self, now: float, seconds: float) -> None:
        self.back_for_s += seconds
        for at, share, revision in tuple(self.coming):
            if at <= now and self.cut_off_for_s is None:
                self.coming.remove((at, share, revision))
                if revision > self.revision or share is None:
                    self.is_alone = False
                    self.share, self.revision = share, revision if share else 0
        rates = {origin: min(want, self.allowed(origin)) for origin, want in self.demand.items()}
        total = sum(rates.values())
        part = min(1.0, self.allowed(TOTAL) / total) if total else 1.0
        rates = {origin: rate * part for origin, rate in rates.items()} | {TOTAL: total * part}
        for origin in rates.keys() | self.speed.keys():  # as aria2 tells it: an average over ten seconds
            before = self.speed.get(origin, 0.0)
            self.speed[origin] = before + (rates.get(origin, 0.0) - before) * min(1.0, seconds / 5)

    def beat(self, beat: int) -> Heartbeat:
        held_back = [origin for origin, want in self.demand.items() if want > self.allowed(origin)]
        if sum(self.demand.values()) > self.allowed(TOTAL):
            held_back.append(TOTAL)
        return Heartbeat(
            node=self.name,
            instance="i",
            beat=beat,
            version="",
            slots=8,
            running=len(self.demand),
            waiting=0,
            bytes_per_s=int(self.speed.get(TOTAL, 0)),
            origins={origin: int(speed) for origin, speed in self.speed.items() if origin != TOTAL},
            limit_bytes_per_s=self.share.bytes_per_s if self.share else None,
            share=self.revision,
            is_alone=self.is_alone,
            held_back=tuple(held_back),
        )


class Cluster:
    """A leader's book and its nodes, a round at a time. `dice` delay and lose what they send each other."""

    def __init__(self, names: Iterable[str], dice: random.Random | None = None) -> None:
        self.now = 1000.0
        self.book = ShareBook(1, self.now)
        self.nodes = {name: Sharer(name) for name in names}
        self.heard: dict[str, tuple[Heartbeat, float]] = {}
        self.stored: dict[str, tuple[NodeShare | None, int]] = {}
        self.writes: list[str] = []
        """Nodes whose shares were written, in order."""
        self._dice = dice
        self._sent: list[tuple[float, Heartbeat]] = []
        self._revision = 0

    def members(self) -> dict[str, Member]:
        return {
            name: Member(
                beat=beat,
                silent_s=self.now - at,
                tasks=len(self.nodes[name].demand),
                origins=dict.fromkeys(self.nodes[name].demand, 1),
            )
            for name, (beat, at) in self.heard.items()
        }

    def take_over(self) -> None:
        """Another leader: it reads what stands, and has heard nobody yet."""
        self.book = ShareBook(2, self.now)
        self.heard.clear()
        for name, (share, revision) in self.stored.items():
            self.book.read(name, share, revision, self.now)

    def round(self, limits: Limits, *, loss: float = 0.0, lag_s: float = 0.0) -> None:
        """Two seconds: nodes speak, the leader hears, decides and writes."""
        dice = self._dice or random.Random(0)
        self.now += ROUND_S
        for node in self.nodes.values():
            if node.cut_off_for_s is not None:
                node.cut_off_for_s += ROUND_S
            node.step(self.now, ROUND_S)
            if node.cut_off_for_s is None and dice.random() >= loss:
                self._sent.append((self.now + dice.uniform(0, lag_s), node.beat(int(self.now))))
        for at, beat in tuple(self._sent):
            if at <= self.now:
                self._sent.remove((at, beat))
                known = self.heard.get(beat.node)
                if known is None or known[0].beat < beat.beat:
                    self.heard[beat.node] = beat, self.now
        members = self.members()
        for name, share in self.book.plan(limits, members, self.now).items():
            self._revision += 1
            self.writes.append(name)
            self.stored[name] = share, self._revision
            self.book.wrote(name, share, self._revision, self.now)
            self.nodes[name].coming.append((self.now + dice.uniform(0, lag_s), share, self._revision))
        for name, node in self.nodes.items():
            node.may_begin = not limits or (name in members and self.book.may_take(members[name]))

    def rounds(self, count: int, limits: Limits) -> None:
        for _ in range(count):
            self.round(limits)

    def allowed(self, origin: str = TOTAL) -> float:
        """The most that all nodes together may download now."""
        return sum(node.allowed(origin) for node in self.nodes.values())

    def used(self, origin: str = TOTAL) -> float:
        return sum(node.speed.get(origin, 0.0) for node in self.nodes.values())
