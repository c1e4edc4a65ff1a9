"""All that placing goes by, told as it changes: nodes, what waits, what stands where, the policy. Pure."""

from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from coordinator.candidates import size_class
from coordinator.cells import Cell, Kind
from coordinator.circles import Circle, Circles
from coordinator.claims import CLAIM_EVERY, Claim
from coordinator.gates import Gate
from coordinator.origins import Origins
from coordinator.pending import Pending
from coordinator.roster import Roster
from coordinator.snapshot import NodeFacts, NodeState, Stand, Task, Wanted
from coordinator.speeds import Speeds
from coordinator.standing import Standing
from coordinator.strategies import LEAST_LOADED, Strategy
from coordinator.turns import Turns
from schemas.policy import Policy


class Known:
    """What a planner knows."""

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

    def add_all(self, tasks: Iterable[Task]) -> None:
        """`add` each. Where many are alike, as a million are at a takeover, it is looked up once where they go."""
        cells: dict[tuple[str, Wanted, int, tuple[str, ...]], Cell] = {}
        pending, stands = self.pending, self._standing.stands
        for task in tasks:
            alike = task.owner, task.wanted, size_class(task.size), task.origins
            cell = cells.get(alike)
            if cell is not None and cell.count and task.task not in pending and task.task not in stands:
                pending.put(task, cell)
                continue
            self.add(task)
            waiting = pending.get(task.task)
            assert waiting is not None, "it was just added"
            cells[alike] = waiting.cell

    def withdraw(self, task: str) -> None:
        """A task waits no more, and was not placed by a plan."""
        self.pending.discard(task)

    def occupy(self, task: str, stand: Stand) -> None:
        """A task stands at a node, or is on its way there."""
        if self._standing.stands.get(task) == stand:
            return
        is_new = task not in self._standing.stands
        self.vacate(task)
        if is_new:
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
