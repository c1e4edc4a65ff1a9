"""The placing desk: tells the planner what the book and the fleet know, and takes its placements."""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import anyio
import structlog
from msgspec.structs import replace

from broker.connection import BrokerClock
from coordinator.aside import FAILS
from coordinator.filters import DISK_LOW_BYTES
from coordinator.fleet import Fleet
from coordinator.plan import Planner
from coordinator.promises import Promises
from coordinator.rowbook import RowBook
from coordinator.snapshot import NodeFacts, Placement, Stand, Task
from coordinator.strategies import LEAST_LOADED, strategy_of
from coordinator.turnover import Turnover
from coordinator.verdicts import Explanation, explain, span
from coordinator.wants import is_overdue, size_of, stand_of, task_of
from schemas.control import NodeVerdict
from schemas.errors import PolicyInvalid
from schemas.lifecycle import Desired, State
from schemas.nodes import NodeWishes
from schemas.policy import Policy
from schemas.task import StoredRow, TaskRow

log = structlog.get_logger()

NOWHERE = ""
"""In place of a node, where a task needs none of its slots."""
HELD_MAX = 1000
"""At a node that has more tasks than this, paused ones take slots, too: a heartbeat tells of all that it holds."""


class Aside(NamedTuple):
    """Why nothing is placed on a node for a while."""

    until: float
    """Broker time."""
    why: str


class Desk:
    """Keeps the planner in step."""

    def __init__(self, book: RowBook, fleet: Fleet, clock: BrokerClock, *, lost_after_s: float) -> None:
        self._book = book
        self._fleet = fleet
        self._clock = clock
        self._lost_after_s = lost_after_s
        self.planner = Planner()
        self.turnover = Turnover()
        self._promises = Promises()
        self._delayed: list[tuple[float, str, int]] = []
        self._placing: set[str] = set()
        self._online: OrderedDict[str, float] = OrderedDict()
        """When each node was heard, the longest silent first."""
        self.may_take: Callable[[str], bool] = lambda node: True
        """Whether a node knows its share of a limit on bandwidth, where there is one."""
        self._wishes: dict[str, NodeWishes] = {}
        self._aside: dict[str, Aside] = {}
        self._tried: set[str] = set()
        """Were set aside, and have not shown since that they are well."""
        self._now = 0.0
        """Monotonic, when it was last told."""
        self._wake = anyio.Event()

    def __repr__(self) -> str:
        return f"<Desk {self.planner!r}, {len(self._delayed)} delayed, {len(self._placing)} being placed>"

    @property
    def policy(self) -> Policy:
        return self.planner.policy

    def row_changed(self, task: str) -> None:
        """The book learned something of `task`."""
        if task in self._placing:
            return  # looked at again when the write's fate is known
        top, planner = self._book.top(task), self.planner
        if top is not None and top.row.state is State.ASSIGNED:
            planner.withdraw(task)
            planner.occupy(task, self._stand(top.row))
            if top.row.desired is Desired.PAUSE:
                self.wake()  # its slot came free
            return
        self._vacate(task)
        if top is None or top.row.state is not State.QUEUED or top.row.desired is not Desired.RUN:
            planner.withdraw(task)
        elif (due := due_at(top)) > self._clock.now():
            planner.withdraw(task)
            heapq.heappush(self._delayed, (due, task, top.sequence))
            return
        elif is_overdue(top.row, self._clock.now()):
            planner.withdraw(task)  # the watch ends it
        else:
            planner.add(task_of(top))
        self.wake()

    def rows_came(self, rows: Sequence[StoredRow]) -> None:
        """The book learned of tasks of which nothing was known: the same as `row_changed` for each."""
        now = self._clock.now()
        waiting: list[Task] = []
        for stored in rows:
            row = stored.row
            is_waiting = row.state is State.QUEUED and row.desired is Desired.RUN and due_at(stored) <= now
            if is_waiting and row.task not in self._placing:
                waiting.append(task_of(stored))
            else:
                self.row_changed(row.task)
        self.planner.add_all(waiting)
        self.wake()

    def heard(self, node: str) -> None:
        """The fleet learned something of a node."""
        seen = self._fleet.get(node)
        if seen is None or seen.heartbeat.leaving:
            self._gone(node)
            return
        self._now = max(self._now, seen.heard_at)
        self._online[node] = seen.heard_at
        self._online.move_to_end(node)
        self._look_at(node)

    def policy_changed(self, policy: Policy) -> None:
        """From now on place by this policy; where its strategy is not installed here, by the default one."""
        trouble = ""
        try:
            strategy = strategy_of(policy, self.planner.speeds)
        except PolicyInvalid as error:
            strategy, trouble = LEAST_LOADED, str(error)
            log.error("the policy's strategy can't be followed", problem=trouble)
        self.planner.follow(policy, strategy)
        self.planner.trouble = trouble
        self.wake()

    def node_decided(self, node: str, wishes: NodeWishes | None) -> None:
        """What is decided about a node at run time; None: nothing any more."""
        if wishes is None:
            self._wishes.pop(node, None)
        else:
            self._wishes[node] = wishes
        self._look_at(node)

    def wishes(self, node: str) -> NodeWishes | None:
        return self._wishes.get(node)

    def set_aside(self, node: str, until: float, why: str) -> None:
        """Place nothing on a node until a moment of broker time (Unix seconds), then one task at a time.

        `why` is a sentence for people; empty: the node is well again.
        """
        if why:
            self._aside[node] = Aside(until, why)
            self._tried.add(node)
        else:
            self._aside.pop(node, None)
            self._tried.discard(node)
        self._look_at(node)

    def aside(self, node: str) -> Aside | None:
        """Why a node is set aside; None where it is not."""
        return self._aside.get(node)

    def cool(self, origin: str, until: float) -> None:
        """Begin nothing from an origin (`host:port`) before a moment of broker time (Unix seconds)."""
        self.planner.cool(origin, until)

    def let_stop(self, origin: str, until: float) -> None:
        """Begin nothing from an origin before a moment of broker time: what is to stop there has stopped by then."""
        self.planner.origins.let_stop(origin, until)

    def measured(self, node: str, origin: str, size: int, seconds: float) -> None:
        """A download from an origin took so long on a node."""
        self.planner.measured(node, origin, size, seconds)

    def wake(self) -> None:
        """Something changed that may let a task be placed."""
        self._wake.set()

    async def changed(self, timeout_s: float) -> None:
        """Wait for a change, at most so long."""
        with anyio.move_on_after(timeout_s):
            await self._wake.wait()
        self._wake = anyio.Event()

    def plan(self, now: float, limit: int) -> list[Placement]:
        """Decide and reserve. `now` is monotonic. Each placement must be settled with `release`."""
        broker_now, self._now = self._clock.now(), now
        self._pass_time(now, broker_now)
        plan = self.planner.plan(limit, broker_now)
        for placement in plan.placements:
            self._placing.add(placement.task)
            self._promise(placement)
        if plan.is_cut:
            self.wake()
        return plan.placements

    def still_takes(self, placement: Placement) -> bool:
        """Whether the node that was chosen takes tasks yet: since then it may have left, or been closed."""
        node = self.planner.node(placement.node)
        return node is not None and node.facts.instance == placement.instance and not node.facts.excluded

    def release(self, placement: Placement) -> None:
        """The write's fate is known: the reservation is the row itself now, or nothing."""
        self._placing.discard(placement.task)
        top = self._book.top(placement.task)
        if top is None or top.row.place != placement.node:
            self._promises.drop(placement.node, placement.task)
        self.row_changed(placement.task)

    def explain(self, stored: StoredRow) -> Explanation:
        """What placing says of a live task just now."""
        before = []
        if stored.row.desired is Desired.PAUSE:
            before.append("it is paused until somebody resumes it")
        if (due_s := self.due_in_s(stored)) > 0 and stored.row.state is State.QUEUED:
            before.append(f"it is not due {span(due_s, self._clock.now())}")
        if is_overdue(stored.row, self._clock.now()):
            before.append("its deadline has passed: it is about to fail")
        away = [seen for seen in self._fleet if seen.heartbeat.node not in self._online]
        found = explain(self.planner, task_of(stored), self._clock.now(), before=tuple(before), away=len(away))
        offline = (
            NodeVerdict(
                node=seen.heartbeat.node,
                online=False,
                excluded="has left" if seen.heartbeat.leaving else f"is silent for {self._now - seen.heard_at:.0f} s",
            )
            for seen in away
        )
        return found._replace(nodes=(*found.nodes, *offline))

    def due_in_s(self, stored: StoredRow) -> float:
        return max(0.0, due_at(stored) - self._clock.now())

    def _pass_time(self, now: float, broker_now: float) -> None:
        """What time alone brings about: delays that ran out, nodes gone silent, nodes set aside for long enough."""
        while self._delayed and self._delayed[0][0] <= broker_now:
            _, task, sequence = heapq.heappop(self._delayed)
            top = self._book.top(task)
            if top is not None and top.sequence == sequence:
                self.row_changed(task)
        while self._online and now - (silent := next(iter(self._online.items())))[1] > self._lost_after_s:
            self._gone(silent[0])
        for node in [node for node, aside in self._aside.items() if aside.until <= broker_now]:
            del self._aside[node]
            self._look_at(node)

    def _promise(self, placement: Placement) -> None:
        """Its disk is spoken for until the node counts it itself."""
        seen, top = self._fleet.get(placement.node), self._book.top(placement.task)
        if seen is not None and top is not None:
            beat = seen.heartbeat
            self._promises.make(beat.node, beat.instance, beat.beat, placement.task, size_of(top.row))

    def _stand(self, row: TaskRow) -> Stand:
        """What a row at a node takes up there: of one that is paused only its owner's and its origins' limits."""
        stand = stand_of(row)
        if row.desired is Desired.PAUSE and self._book.count_at(row.place) <= HELD_MAX:
            return replace(stand, node=NOWHERE, bandwidth=0)
        return stand

    def _vacate(self, task: str) -> None:
        stand = self.planner.stands(task)
        if stand is None:
            return
        self.planner.vacate(task)
        node = self.planner.node(stand.node)
        if node is not None and (limit := self._limit(stand.node, node.slots)) != node.facts.limit:
            self.planner.set_node(replace(node.facts, limit=limit, disk_left=node.disk_left))

    def _gone(self, node: str) -> None:
        self._online.pop(node, None)
        self.planner.drop_node(node)

    def _look_at(self, node: str) -> None:
        """Tell the planner what a node is now."""
        seen = self._fleet.get(node)
        if seen is None or node not in self._online:
            return
        beat, wishes = seen.heartbeat, self._wishes.get(node)
        slots = beat.slots if wishes is None or wishes.slots is None else wishes.slots
        tags = beat.tags if wishes is None or wishes.tags is None else wishes.tags
        promised = beat.disk_promised_bytes + self._promises.at(node, beat.instance, beat.beat)
        self.planner.set_node(
            NodeFacts(
                node=node,
                instance=beat.instance,
                slots=slots,
                limit=self._limit(node, slots),
                tags=frozenset(tags),
                capabilities=frozenset(beat.capabilities),
                disk_left=beat.disk_free_bytes - promised,
                disk_low=DISK_LOW_BYTES if beat.disk_low_bytes is None else beat.disk_low_bytes,
                disk_capacity=beat.disk_capacity_bytes,
                bandwidth=beat.bandwidth,
                excluded=self.excluded(node, beat.trouble),
            )
        )
        self.wake()

    def excluded(self, node: str, trouble: str) -> str:
        """Why a node takes no tasks, whatever they are; empty where it does. `trouble` is what it says itself."""
        wishes = self._wishes.get(node)
        if wishes is not None and wishes.is_closed:
            said = "is being drained" if wishes.draining else f"is {wishes.closed}"
            return f"{said}: {wishes.reason}" if wishes.reason else said
        if node in self._aside:
            return f"is set aside: {FAILS}"  # `why` tells of tasks whose owners may be others
        if not trouble and not self.may_take(node):
            return "does not know its share of the limit on bandwidth yet"
        return trouble

    def _limit(self, node: str, slots: int) -> int:
        if node in self._tried:
            return 1
        return slots + self.turnover.prefetch(node, slots, self._now)


def due_at(stored: StoredRow) -> float:
    """When a queued row may be placed: its store time plus its delay, all broker time."""
    return stored.stored_at + stored.row.delay_s
