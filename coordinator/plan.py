"""Filter → score → reserve: which waiting task goes to which node. Pure: equal inputs, equal plan.

The planner is told what changes (nodes, tasks, the policy) and keeps everything in such order that a placement costs
little, however many nodes and tasks there are. It knows no clock: the caller says what time it is.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from coordinator.cells import Waiting
from coordinator.circles import Circle
from coordinator.claims import find_claim, still_holds
from coordinator.filters import excluded_by
from coordinator.known import Known
from coordinator.shapes import Shape
from coordinator.snapshot import NodeState, Placement, Stand
from coordinator.strategies import LEAST_LOADED, StrategyFailed

AGED_EVERY = 16
"""One placement in so many goes to the oldest task of the owner whose turn it is, whatever its priority: so nothing
waits for ever behind what is always more urgent."""
LOOKS_PER_PLACEMENT = 20
LOOKS_MIN = 2_000
"""A plan ends after so many looks at tasks that can't be placed: others have to work, too. The next goes on."""


@dataclass
class Plan:
    """What was decided."""

    placements: list[Placement]
    is_cut: bool = False
    """There may be more to place: plan again."""


class Planner(Known):
    """Decides by what it knows."""

    def plan(self, limit: int, now: float) -> Plan:
        """Take up to `limit` tasks out of those that wait and say where each goes. `now`: broker time."""
        for gate in self.origins.warm_up(now):
            self._open(gate)
        placements: list[Placement] = []
        looks_left = max(LOOKS_MIN, LOOKS_PER_PLACEMENT * limit)
        if limit > 0 and (placement := self._place_kept()) is not None:
            placements.append(placement)
        while len(placements) < limit and self._roomy:
            by_age = self._placed % AGED_EVERY == AGED_EVERY - 1
            waiting = self.pending.next(by_age=by_age)
            if waiting is None:
                break
            try:
                placement = self._place(waiting)
            except StrategyFailed as error:
                self._give_up_strategy(error)
                continue
            if placement is not None:
                placements.append(placement)
                continue
            looks_left -= 1
            if not looks_left:
                return Plan(placements, is_cut=True)
        self._claim()
        return Plan(placements, is_cut=bool(self._roomy) and len(placements) >= limit)

    def _place(self, waiting: Waiting) -> Placement | None:
        """Place what goes next; None where it can't be: then it is out of the way."""
        cell = waiting.cell
        if self.origins.special(waiting.origins) != cell.kind.origins:
            self._enqueue(waiting.as_task())
            return None
        if (gate := cell.closed_gate()) is not None:
            self.pending.park(cell, gate)
            return None
        candidates = cell.candidates
        if (crowded_out := self._circles.use(candidates.circle)) is not None:
            self._forget(crowded_out)
        node = candidates.choose(waiting)
        if node is None:
            if candidates.set_aside(waiting):
                self.pending.lift(waiting)
            else:
                candidates.close()
                self.pending.park(cell, candidates)
            return None
        return self._give(waiting, node)

    def _able(self, circle: Circle) -> set[Shape]:
        """Have the nodes of a circle in order; the shapes that could take its tasks."""
        if (crowded_out := self._circles.use(circle)) is not None:
            self._forget(crowded_out)
        return circle.able

    def _give(self, waiting: Waiting, node: NodeState) -> Placement:
        cell = waiting.cell
        circle = cell.candidates.circle
        self._placed += 1
        self.pending.discard(waiting.task)
        why, limited = circle.why(node), self.origins.is_limited(waiting.origins)
        self.turns.served(cell.owner.name)
        stand = Stand(node.node, cell.owner.name, waiting.origins, circle.wanted.bandwidth)
        self._reserve(waiting.task, stand, waiting.size)
        return Placement(waiting.task, waiting.sequence, node.node, node.facts.instance, why, limited)

    def _claim(self) -> None:
        """From time to time keep something for the task that has waited longest for several things."""
        if self.kept is None and self._placed >= self._claim_from:
            self._claim_from = self._placed + self._claim_every
            if (found := find_claim(self.pending, self.origins, self._roster.nodes, self._able)) is not None:
                self._keep(found)

    def _place_kept(self) -> Placement | None:
        """Place the task for which something is kept, where all is there that it needs."""
        kept = self.kept
        if kept is None:
            return None
        waiting, limit = self.pending.get(kept.task), self.policy.owner(kept.owner).running
        if waiting is None or not still_holds(kept, waiting, self.origins, self.node(kept.node)):
            self._keep(None)
            return None
        if (limit is not None and self.running[kept.owner] >= limit) or not self.origins.allow(kept.origins):
            return None
        self._able(waiting.cell.candidates.circle)
        try:
            node = waiting.cell.candidates.choose(waiting)
        except StrategyFailed as error:
            self._give_up_strategy(error)
            return None
        if node is None:
            node = self._roster.nodes[kept.node]
            without_kept = replace(node, bandwidth_used=node.bandwidth_used - kept.bandwidth)
            if excluded_by(without_kept, waiting.cell.kind.wanted, waiting.size) is not None:
                return None
        self._keep(None)
        return self._give(waiting, self._roster.nodes[node.node])

    def _give_up_strategy(self, error: StrategyFailed) -> None:
        self.follow(self.policy, LEAST_LOADED)
        self.trouble = str(error)
