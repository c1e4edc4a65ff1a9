"""Filter → score → reserve: which waiting task goes to which node. Pure: equal inputs, equal plan.

The planner is told what changes (nodes, tasks, the policy) and keeps everything in such order that a placement costs
little, however many nodes and tasks there are. It knows no clock: the caller says what time it is.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from coordinator.candidates import Candidates
from coordinator.gates import Gate
from coordinator.origins import Origins
from coordinator.pending import Kind, Pending, Waiting
from coordinator.shapes import Fleet, size_class
from coordinator.snapshot import NodeFacts, NodeState, Placement, Stand, Task, Wanted
from coordinator.speeds import Speeds
from coordinator.strategies import LEAST_LOADED, Strategy, StrategyFailed
from coordinator.turns import Turns
from schemas.policy import Policy

AGED_EVERY = 16
"""One placement in so many goes to the oldest task of the owner whose turn it is, whatever its priority: so nothing
waits for ever behind what is always more urgent."""
LOOKS_PER_PLACEMENT = 20
LOOKS_MIN = 2_000
"""A plan ends after so many looks at tasks that can't be placed: others have to work, too. The next goes on."""
BUILT_MAX = 256
"""Classes whose nodes are kept in order; of more, those least lately used are made anew when their turn comes."""


@dataclass
class Plan:
    """What was decided."""

    placements: list[Placement]
    is_cut: bool = False
    """There may be more to place: plan again."""


class Planner:
    """Everything that placing goes by."""

    def __init__(self, policy: Policy | None = None, strategy: Strategy = LEAST_LOADED) -> None:
        self.policy = policy or Policy()
        self.speeds = Speeds()
        self.origins = Origins(self.policy)
        self.turns = Turns(self.policy)
        self.pending = Pending(self.turns)
        self.running: Counter[str] = Counter()
        """Tasks at nodes or on their way there, by owner."""
        self._fleet = Fleet(strategy, self.speeds)
        self._candidates: dict[tuple[Wanted, int], Candidates] = {}
        self._built: dict[Candidates, None] = {}
        """In the order of their use."""
        self._stands: dict[str, Stand] = {}
        self._at: Counter[str] = Counter()
        """Tasks at each node, heard of or not."""
        self._bandwidth_at: Counter[str] = Counter()
        self._roomy: set[str] = set()
        """Nodes that could be given something."""
        self._placed = 0
        self.trouble = ""
        """Why the policy's strategy is not followed; empty where it is."""

    def __repr__(self) -> str:
        return f"<Planner {self.pending!r}, {len(self._stands)} at {len(self._fleet.nodes)} nodes>"

    @property
    def nodes(self) -> Iterable[NodeState]:
        return self._fleet.nodes.values()

    def node(self, name: str) -> NodeState | None:
        return self._fleet.nodes.get(name)

    def in_group(self, node: NodeState) -> int:
        """Tasks at the nodes that a spreading strategy takes together with this one."""
        return self._fleet.in_group[self._fleet.group_of(node.facts)] if self.strategy.spread_tag else 0

    @property
    def strategy(self) -> Strategy:
        return self._fleet.strategy

    def assigned(self, node: str) -> int:
        """Tasks that stand at a node or are on their way there."""
        return self._at[node]

    def standing(self) -> Iterable[str]:
        """Tasks at nodes or on their way there."""
        return self._stands

    def stands(self, task: str) -> Stand | None:
        return self._stands.get(task)

    def follow(self, policy: Policy, strategy: Strategy) -> None:
        """From now on place by another policy."""
        self.trouble = ""
        self.policy = self.turns.policy = policy
        for gate in self.origins.follow(policy):
            self._open(gate)
        for owner in self.pending.owners():
            self._look_at_owner(owner)
        self._fleet.follow(strategy)
        for candidates in tuple(self._built):
            self._forget(candidates)

    def set_node(self, facts: NodeFacts) -> None:
        """A node is there, or is not what it was."""
        fleet, name = self._fleet, facts.node
        known = fleet.nodes.get(name)
        state = NodeState(
            facts, self._at[name], facts.disk_left, self._bandwidth_at[name], known.turn if known is not None else 0
        )
        if known is not None:
            fleet.in_group[fleet.group_of(known.facts)] -= known.assigned
        fleet.in_group[fleet.group_of(facts)] += state.assigned
        self._put(state)
        if (shape := fleet.settle(name)) is not None:
            for candidates in self._built:
                candidates.consider(shape)
        self._rose(name)

    def drop_node(self, name: str) -> None:
        """Nothing can be placed there any more; what stands there still counts."""
        if (node := self._fleet.nodes.get(name)) is not None:
            self._fleet.in_group[self._fleet.group_of(node.facts)] -= node.assigned
            self._fleet.unsettle(name)
            self._roomy.discard(name)
            del self._fleet.nodes[name]

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
        if self._stands.get(task) == stand:
            return
        self.vacate(task)
        self._stands[task] = stand
        self.turns.served(stand.owner)
        self._count(stand)

    def vacate(self, task: str) -> None:
        """A task stands nowhere."""
        stand = self._stands.pop(task, None)
        if stand is None:
            return
        name = stand.node
        self.running[stand.owner] -= 1
        if not self.running[stand.owner]:
            del self.running[stand.owner]
        self._at[name] -= 1
        if not self._at[name]:
            del self._at[name]
        if stand.bandwidth:
            self._bandwidth_at[name] -= stand.bandwidth
        for gate in self.origins.give(stand.origins):
            self._open(gate)
        self._look_at_owner(stand.owner)
        if (node := self._fleet.nodes.get(name)) is not None:
            used = self._bandwidth_at[name]
            self._put(NodeState(node.facts, node.assigned - 1, node.disk_left, used, node.turn))
            if self._fleet.strategy.spread_tag:
                group = self._fleet.group_of(node.facts)
                self._fleet.in_group[group] -= 1
                for candidates in self._built:
                    candidates.group_fell(group)
            self._rose(name)

    def measured(self, node: str, origin: str, size: int, seconds: float) -> None:
        """A download from an origin took so long on a node."""
        if self.speeds.measured(node, origin, size, seconds) and self.strategy.by_origin and node in self._fleet.nodes:
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
        while len(placements) < limit and self._roomy:
            by_age = self._placed % AGED_EVERY == AGED_EVERY - 1
            waiting = self.pending.next(by_age=by_age)
            if waiting is None:
                break
            try:
                placement = self._place(waiting)
            except StrategyFailed as error:
                self.follow(self.policy, LEAST_LOADED)
                self.trouble = str(error)
                continue
            if placement is not None:
                placements.append(placement)
                continue
            looks_left -= 1
            if not looks_left:
                return Plan(placements, is_cut=True)
        return Plan(placements, is_cut=bool(self._roomy) and len(placements) >= limit)

    def _place(self, waiting: Waiting) -> Placement | None:
        """Place what goes next; None where it can't be: then it is out of the way."""
        cell = waiting.cell
        if len(self.origins.special(waiting.origins)) != len(cell.kind.origins) and self._sort_anew(waiting):
            return None
        if (gate := cell.closed_gate()) is not None:
            self.pending.park(cell, gate)
            return None
        candidates = cell.candidates
        self._use(candidates)
        node = candidates.choose(waiting)
        if node is None:
            if candidates.set_aside(waiting):
                self.pending.lift(waiting)
            else:
                candidates.close()
                self.pending.park(cell, candidates)
            return None
        self._placed += 1
        owner, wanted = cell.owner.name, cell.kind.wanted
        self.pending.discard(waiting.task)
        stand = Stand(node.node, owner, waiting.origins, wanted.bandwidth)
        why = self._why(node, candidates)
        self.turns.served(owner)
        self._stands[waiting.task] = stand
        self._count(stand, waiting.size)
        limited = self.origins.is_limited(waiting.origins)
        return Placement(waiting.task, waiting.sequence, node.node, node.facts.instance, why, limited)

    def _sort_anew(self, waiting: Waiting) -> bool:
        """Put a task among those that its origins hold up, since a limit or a cool-down came. False: it is there."""
        cell = waiting.cell
        wanted, size, origins = cell.kind.wanted, waiting.size, waiting.origins
        if self.origins.special(origins) == cell.kind.origins:
            return False
        self._enqueue(
            Task(
                task=waiting.task,
                owner=cell.owner.name,
                priority=waiting.priority,
                order=waiting.order,
                sequence=waiting.sequence,
                wanted=wanted,
                size=size,
                origins=origins,
                avoid=waiting.avoid,
            )
        )
        return True

    def _enqueue(self, task: Task) -> None:
        special = self.origins.special(task.origins)
        key = (task.wanted, size_class(task.size))
        candidates = self._candidates.get(key)
        if candidates is None:
            self._sweep()
            wanted = task.wanted
            for shape in self._fleet.mention(wanted.tags | wanted.avoid_tags | wanted.prefer_tags):
                for others in self._built:
                    others.consider(shape)
            candidates = self._candidates[key] = Candidates(self._fleet, *key)
        self.pending.add(task, Kind(*key, special), candidates, tuple(map(self.origins.gate, special)))

    def _why(self, node: NodeState, candidates: Candidates) -> str:
        able = candidates.count
        among = "the only node that can" if able == 1 else f"{self.strategy.says} of {able} nodes that can"
        if node.is_busy:
            return f"{among}: its {node.slots} slots are in use, this waits next in line"
        return f"{among}: {node.assigned} of {node.slots} slots in use"

    def _count(self, stand: Stand, size: int = 0) -> None:
        """Reserve what a task takes up."""
        name = stand.node
        self.running[stand.owner] += 1
        self._at[name] += 1
        if stand.bandwidth:
            self._bandwidth_at[name] += stand.bandwidth
        self.origins.take(stand.origins)
        self._look_at_owner(stand.owner)
        node = self._fleet.nodes.get(name)
        if node is None:
            return
        used = self._bandwidth_at[name]
        self._put(NodeState(node.facts, node.assigned + 1, node.disk_left - size, used, self._placed))
        if (shape := self._fleet.shape_of(name)) is not None:
            shape.version += 1
        if self.strategy.spread_tag:
            self._fleet.in_group[self._fleet.group_of(node.facts)] += 1
        if not self.strategy.worsens:
            self._rose(name)

    def _put(self, node: NodeState) -> None:
        self._fleet.nodes[node.facts.node] = node
        if node.facts.limit > node.assigned and not node.facts.excluded:
            self._roomy.add(node.facts.node)
        else:
            self._roomy.discard(node.facts.node)

    def _rose(self, name: str) -> None:
        """A node can take more than before, or is better liked."""
        shape = self._fleet.shape_of(name)
        if shape is None or name not in self._roomy:
            return
        node = self._fleet.nodes[name]
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

    def _use(self, candidates: Candidates) -> None:
        """Have its nodes in order, at the cost of those least lately used."""
        if candidates.is_built:
            if next(reversed(self._built)) is not candidates:
                del self._built[candidates]
                self._built[candidates] = None
            return
        if len(self._built) >= BUILT_MAX:
            self._forget(next(iter(self._built)))
        candidates.build()
        self._built[candidates] = None

    def _forget(self, candidates: Candidates) -> None:
        """Nobody tells it of changes from now on, so that it can't stay closed either."""
        del self._built[candidates]
        candidates.forget()
        for waiting in candidates.all_set_aside():
            self.pending.put_back(waiting)
        self._open(candidates)

    def _sweep(self) -> None:
        """Drop the classes that nobody waits in."""
        if len(self._candidates) < 2 * BUILT_MAX or len(self._candidates) & (len(self._candidates) - 1):
            return
        used = {(cell.kind.wanted, cell.kind.size_class) for cell in self.pending.cells()}
        for key, candidates in tuple(self._candidates.items()):
            if key not in used:
                if candidates.is_built:
                    del self._built[candidates]
                del self._candidates[key]

    def _look_at_owner(self, owner: str) -> None:
        if not self.policy.owners and not self.pending.has_held_owners:
            return
        limit = self.policy.owner(owner).running
        if limit is not None or self.pending.is_held(owner):
            self.pending.hold(owner, is_held=limit is not None and self.running[owner] >= limit)
