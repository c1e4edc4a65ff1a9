"""The placing desk: which tasks wait, which are not due yet, what is promised to whom."""

import heapq
from collections import Counter
from typing import NamedTuple
from urllib.parse import urlsplit

import anyio

from broker.connection import BrokerClock
from coordinator.filters import DISK_LOW_BYTES
from coordinator.fleet import Fleet
from coordinator.pending import Pending
from coordinator.plan import plan
from coordinator.promises import Promises
from coordinator.rowbook import RowBook
from coordinator.snapshot import NodeState, Placement, Waiting
from coordinator.turnover import Turnover
from schemas.lifecycle import Desired, State
from schemas.nodes import NodeWishes
from schemas.policy import Policy
from schemas.task import StoredRow, TaskRow


class Aside(NamedTuple):
    """Why nothing is placed on a node for a while."""

    until: float
    why: str


class Desk:
    """Keeps `Pending` in step with the book, and reservations beside it."""

    def __init__(self, book: RowBook, fleet: Fleet, clock: BrokerClock) -> None:
        self._book = book
        self._fleet = fleet
        self._clock = clock
        self.turnover = Turnover()
        self._promises = Promises()
        self._pending = Pending()
        self._delayed: list[tuple[float, str, int]] = []
        self._reserved: Counter[str] = Counter()
        self._placing: set[str] = set()
        self._wake = anyio.Event()
        self.policy = Policy()
        self._wishes: dict[str, NodeWishes] = {}
        self._aside: dict[str, Aside] = {}
        self._cooling: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Desk {self._pending!r}, {len(self._delayed)} delayed, {self._reserved.total()} reserved>"

    def row_changed(self, task: str) -> None:
        """The book learned something of `task`."""
        if task in self._placing:
            return  # looked at again when the write's fate is known
        top = self._book.top(task)
        if top is None or top.row.state is not State.QUEUED or top.row.desired is not Desired.RUN:
            self._pending.discard(task)
            self.wake()  # room may have come free
            return
        if (due := due_at(top)) > self._clock.now():
            self._pending.discard(task)
            heapq.heappush(self._delayed, (due, task, top.sequence))
            return
        self._pending.add(waiting(top))
        self.wake()

    def policy_changed(self, policy: Policy) -> None:
        """From now on place by this policy."""
        self.policy = policy
        self.wake()

    def node_decided(self, node: str, wishes: NodeWishes | None) -> None:
        """What is decided about a node at run time; None: nothing any more."""
        if wishes is None:
            self._wishes.pop(node, None)
        else:
            self._wishes[node] = wishes
        self.wake()

    def set_aside(self, node: str, until: float, why: str) -> None:
        """Place nothing on a node until a moment of broker time (Unix seconds); `why` is a sentence for people."""
        self._aside[node] = Aside(until, why)

    def cool(self, origin: str, until: float) -> None:
        """Begin nothing from an origin (`host:port`) before a moment of broker time (Unix seconds)."""
        self._cooling[origin] = max(until, self._cooling.get(origin, 0.0))

    def wake(self) -> None:
        """Something changed that may let a task be placed."""
        self._wake.set()

    async def changed(self, timeout_s: float) -> None:
        """Wait for a change, at most so long."""
        with anyio.move_on_after(timeout_s):
            await self._wake.wait()
        self._wake = anyio.Event()

    def plan(self, now: float, lost_after_s: float, limit: int) -> list[Placement]:
        """Decide and reserve. `now` is monotonic. Each placement must be settled with `release`."""
        broker_now = self._clock.now()
        while self._delayed and self._delayed[0][0] <= broker_now:
            _, task, sequence = heapq.heappop(self._delayed)
            top = self._book.top(task)
            if top is not None and top.sequence == sequence:
                self.row_changed(task)
        if not self._pending:
            return []
        placements = plan(self._pending, self._nodes(now, lost_after_s), limit=limit)
        for placement in placements:
            self._reserved[placement.node] += 1
            self._placing.add(placement.task)
            self._promise(placement)
        return placements

    def _promise(self, placement: Placement) -> None:
        """Its disk is spoken for until the node counts it itself."""
        seen, top = self._fleet.get(placement.node), self._book.top(placement.task)
        if seen is not None and top is not None:
            beat = seen.heartbeat
            self._promises.make(beat.node, beat.instance, beat.beat, placement.task, size_of(top.row))

    def release(self, placement: Placement) -> None:
        """The write's fate is known: the reservation is the row itself now, or nothing."""
        self._reserved[placement.node] -= 1
        self._placing.discard(placement.task)
        top = self._book.top(placement.task)
        if top is None or top.row.place != placement.node:
            self._promises.drop(placement.node, placement.task)
        self.row_changed(placement.task)

    def due_in_s(self, stored: StoredRow) -> float:
        return max(0.0, due_at(stored) - self._clock.now())

    def _nodes(self, now: float, lost_after_s: float) -> list[NodeState]:
        states = []
        for seen in self._fleet:
            beat = seen.heartbeat
            if not self._fleet.is_online(beat.node, now, lost_after_s):
                continue
            assigned = self._book.count_at(beat.node) + self._reserved[beat.node]
            promised = beat.disk_promised_bytes + self._promises.at(beat.node, beat.instance, beat.beat)
            states.append(
                NodeState(
                    node=beat.node,
                    instance=beat.instance,
                    slots=beat.slots,
                    room=beat.slots + self.turnover.prefetch(beat.node, beat.slots, now) - assigned,
                    assigned=assigned,
                    tags=frozenset(beat.tags),
                    capabilities=frozenset(beat.capabilities),
                    disk_free_bytes=beat.disk_free_bytes - promised,
                    disk_low_bytes=DISK_LOW_BYTES if beat.disk_low_bytes is None else beat.disk_low_bytes,
                    trouble=beat.trouble,
                )
            )
        return states


def due_at(stored: StoredRow) -> float:
    """When a queued row may be placed: its store time plus its delay, all broker time."""
    return stored.stored_at + stored.row.delay_s


def size_of(row: TaskRow) -> int:
    """Bytes its file will take: as asked for, else as a node found out; 0 while unknown."""
    asked = row.request.size_bytes if row.request else None
    return asked or row.size


def waiting(stored: StoredRow) -> Waiting:
    """A queued row as the plan sees it."""
    row = stored.row
    assert row.request is not None, "a rejected request is never queued"
    submitted = row.submitted.timestamp() if row.submitted else 0.0
    scheme = urlsplit(row.request.uris[0]).scheme.lower()
    return Waiting(
        rank=(-row.request.priority, submitted, row.task),
        task=row.task,
        sequence=stored.sequence,
        tags=frozenset(row.request.tags),
        capability="http" if scheme == "https" else scheme,
        size=size_of(row),
        avoid=row.avoid,
    )
