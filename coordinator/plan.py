"""Filter → score → reserve: which waiting task goes to which node. Pure: equal inputs, equal plan.

The planner is told what changes (nodes, tasks, the policy) and keeps everything in such order that a placement costs
little, however many nodes and tasks there are. It knows no clock: the caller says what time it is.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from coordinator.candidates import size_class
from coordinator.cells import Kind, Waiting
from coordinator.circles import Circle, Circles
from coordinator.claims import CLAIM_EVERY, Claim, find_claim, still_holds
from coordinator.filters import excluded_by
from coordinator.gates import Gate
from coordinator.origins import Origins
from coordinator.pending import Pending
from coordinator.roster import Roster
from coordinator.shapes import Shape
from coordinator.snapshot import NodeFacts, NodeState, Placement, Stand, Task
from coordinator.speeds import Speeds
from coordinator.standing import Standing
from coordinator.strategies import LEAST_LOADED, Strategy, StrategyFailed
from coordinator.turns import Turns
from schemas.policy import Policy

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


class Planner:
    """Everything that placing goes by."""

    def __init__(
        self, policy: Policy | None = None, strategy: Strategy = LEAST_LOADED, *, claim_every: int = CLAIM_EVERY
    ) -> None:
        self.policy = policy or Policy()
        self.speeds = Speeds()
        self.origins = Origins(self.policy)
        self.turns = Turns(self.policy)
        self.pending = Pending(self.turns)
        self._roster = Roster(strategy, self.speeds)
        self._circles = Circles(self._roster)
        self._standing = Standing()
        self._roomy: set[str] = set()
        """Nodes that could be given something."""
        self._placed = 0
        self.kept: Claim | None = None
        """What is kept for a task that needs several things."""
        self._claim_every = self._claim_from = claim_every
        """Placements before the next claim."""
        self.trouble = ""
        """Why the policy's strategy is not followed; empty where it is."""

    def __repr__(self) -> str:
        return f"<Planner {self.pending!r}, {len(self._standing.stands)} at {len(self._roster.nodes)} nodes>"

    @property
    def nodes(self) -> Iterable[NodeState]:
        return self._roster.nodes.values()

    def node(self, name: str) -> NodeState | None:
        return self._roster.nodes.get(name)

    def in_group(self, node: NodeState) -> int:
        """Tasks at the nodes that a spreading strategy takes together with this one."""
        return self._roster.in_group[self._roster.group_of(node.facts)] if self.strategy.spread_tag else 0

    @property
    def strategy(self) -> Strategy:
        return self._roster.strategy

    @property
    def running(self) -> Counter[str]:
        """Tasks at nodes or on their way there, by owner."""
        return self._standing.by_owner

    def assigned(self, node: str) -> int:
        """Tasks that stand at a node or are on their way there."""
        return self._standing.at[node]

    def standing(self) -> Iterable[str]:
        """Tasks at nodes or on their way there."""
        return self._standing.stands

    def stands(self, task: str) -> Stand | None:
        return self._standing.stands.get(task)

    def follow(self, policy: Policy, strategy: Strategy) -> None:
        """From now on place by another policy."""
        self.trouble = ""
        self.policy = policy
        self.turns.follow(policy)
        for gate in self.origins.follow(policy):
            self._open(gate)
        for owner in self.pending.owners():
            self._look_at_owner(owner)
        self._roster.follow(strategy)
        for circle in tuple(self._circles):
            self._forget(circle)

    def set_node(self, facts: NodeFacts) -> None:
        """A node is there, or is not what it was."""
        roster, name = self._roster, facts.node
        known = roster.nodes.get(name)
        turn = known.turn if known is not None else 0
        standing = self._standing
        state = NodeState(facts, standing.at[name], facts.disk_left, standing.bandwidth_at[name], turn)
        roster.in_group[roster.group_of(facts)] += state.assigned
        if known is not None:
            self._lower_group(known.facts, known.assigned, moved_to=facts)
        self._put(state)
        if (shape := roster.settle(name)) is not None:
            self._circles.consider(shape)
        self._rose(name)

    def drop_node(self, name: str) -> None:
        """Nothing can be placed there any more; what stands there still counts."""
        if (node := self._roster.nodes.get(name)) is not None:
            self._lower_group(node.facts, node.assigned)
            self._roster.unsettle(name)
            self._roomy.discard(name)
            del self._roster.nodes[name]

    def add(self, task: Task) -> None:
        """A task waits, or waits otherwise than before."""
        self.vacate(task.task)
        self._enqueue(task)
        self._look_at_owner(task.owner)

    def withdraw(self, task: str) -> None:
        """A task waits no more, and was not placed by a plan."""
        self.pending.discard(task)

    def occupy(self, task: str, stand: Stand) -> None:
        """A task stands at a node, or is on its way there."""
        if self._standing.stands.get(task) == stand:
            return
        self.vacate(task)
        self.turns.served(stand.owner)
        self._reserve(task, stand)

    def vacate(self, task: str) -> None:
        """A task stands nowhere."""
        stand = self._standing.give(task)
        if stand is None:
            return
        name = stand.node
        for gate in self.origins.give(stand.origins):
            self._open(gate)
        self._look_at_owner(stand.owner)
        if (node := self._roster.nodes.get(name)) is not None:
            used = self._standing.bandwidth_at[name]
            self._put(NodeState(node.facts, node.assigned - 1, node.disk_left, used, node.turn))
            self._lower_group(node.facts, 1)
            self._rose(name)

    def measured(self, node: str, origin: str, size: int, seconds: float) -> None:
        """A download from an origin took so long on a node."""
        if self.speeds.measured(node, origin, size, seconds) and self.strategy.by_origin and node in self._roster.nodes:
            self._rose(node)

    def cool(self, origin: str, until: float) -> None:
        """Begin nothing from an origin before a moment of broker time."""
        self.origins.cool(origin, until)

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

    def _keep(self, claim: Claim | None) -> None:
        """Keep what a task needs, instead of what was kept before."""
        before, self.kept = self.kept, claim
        for one, sign in ((before, -1), (claim, 1)):
            if one is not None and one.bandwidth:
                self._standing.keep(one.node, sign * one.bandwidth)
                if (node := self._roster.nodes.get(one.node)) is not None:
                    self._put(replace(node, bandwidth_used=self._standing.bandwidth_at[one.node]))
                    self._rose(one.node)
            if one is not None:
                self._look_at_owner(one.owner)
        for gate in self.origins.keep(claim.origins if claim is not None else ()):
            self._open(gate)

    def _enqueue(self, task: Task) -> None:
        special = self.origins.special(task.origins)
        if self._circles.is_crowded():
            self._circles.keep(cell.kind.wanted for cell in self.pending.cells())
        kind = Kind(task.wanted, size_class(task.size), special)
        candidates = self._circles.of(task.wanted).of_size(kind.size_class)
        self.pending.add(task, kind, candidates, tuple(map(self.origins.gate, special)))

    def _reserve(self, task: str, stand: Stand, size: int = 0) -> None:
        """Count what a task takes up."""
        name = stand.node
        self._standing.take(task, stand)
        self.origins.take(stand.origins)
        self._look_at_owner(stand.owner)
        roster = self._roster
        node = roster.nodes.get(name)
        if node is None:
            return
        used = self._standing.bandwidth_at[name] if stand.bandwidth else node.bandwidth_used
        self._put(NodeState(node.facts, node.assigned + 1, node.disk_left - size, used, self._placed))
        if (shape := roster.shape_of(name)) is not None:
            shape.version += 1
        if roster.strategy.spread_tag:
            roster.in_group[roster.group_of(node.facts)] += 1
        if not roster.strategy.worsens:
            self._rose(name)

    def _put(self, node: NodeState) -> None:
        self._roster.nodes[node.facts.node] = node
        if node.facts.limit > node.assigned and not node.facts.excluded:
            self._roomy.add(node.facts.node)
        else:
            self._roomy.discard(node.facts.node)

    def _lower_group(self, facts: NodeFacts, by: int, moved_to: NodeFacts | None = None) -> None:
        """A node has so many tasks less, or takes them to another group."""
        roster = self._roster
        group = roster.group_of(facts)
        roster.in_group[group] -= by
        if by and roster.strategy.spread_tag and (moved_to is None or roster.group_of(moved_to) != group):
            for circle in self._circles:
                circle.group_fell(group)

    def _rose(self, name: str) -> None:
        """A node can take more than before, or is better liked."""
        shape = self._roster.shape_of(name)
        if shape is None or name not in self._roomy:
            return
        node = self._roster.nodes[name]
        shape.rose(name)
        for candidates in tuple(shape.watchers):
            if candidates.could_have(node):
                if candidates.is_closed:
                    self._open(candidates)
                for waiting in candidates.fitting(node):
                    self.pending.put_back(waiting)
            candidates.unwatch(shape)

    def _open(self, gate: Gate) -> None:
        self.pending.unpark(gate.open())

    def _forget(self, circle: Circle) -> None:
        """Nobody tells it of changes from now on, so that its candidates can't stay closed either."""
        self._circles.forget(circle)
        for candidates in circle.sizes.values():
            for waiting in candidates.all_set_aside():
                self.pending.put_back(waiting)
            self._open(candidates)

    def _look_at_owner(self, owner: str) -> None:
        if not self.policy.owners and not self.pending.has_held_owners:
            return
        limit = self.policy.owner(owner).running
        if limit is not None or self.pending.is_held(owner):
            kept = self.kept is not None and self.kept.owner == owner
            self.pending.hold(owner, is_held=limit is not None and self.running[owner] + kept >= limit)
