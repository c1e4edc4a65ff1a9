"""What placing promises while the fleet changes: tags, cordons, farewells, and that no room is left unused.

Like the judge it goes by what the broker stores and carries: never by what a leader believes.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from schemas import codec
from schemas.heartbeat import Heartbeat, Held
from schemas.lifecycle import Desired, State
from schemas.nodes import NodeWishes
from schemas.task import TaskRow

HEARD_WITHIN_S = 8.0
"""A leader of the term in which something was decided, or said, knows of it by then, and what it had sent has arrived:
a write whose answer is lost may be carried out seconds late."""
FAREWELL_WITHIN_S = 4.0
"""The same, where nothing but that delay comes in between."""
IDLE_MAX_S = 15.0
"""So long nothing that could be placed waits beside a free slot: longer than a write of unknown fate is looked for."""
HEARTBEATS_APART_S = 6.0
"""Who is heard so often is there, and its leader knows it."""

Check = Callable[..., None]


class Own(NamedTuple):
    """A node's own settings."""

    slots: int
    tags: tuple[str, ...] = ()


class Decided(NamedTuple):
    """A value of `nodes.<id>`."""

    revision: int
    at: float
    wishes: NodeWishes


class Waits(NamedTuple):
    """A task in the queue that is due, or one that stands at a node."""

    task: str
    row: TaskRow


class FleetJudge:
    """Told of every decision, heartbeat and placement."""

    def __init__(self, now: Callable[[], float], own: dict[str, Own], check: Check) -> None:
        self._now = now
        self._own = own
        self._check = check
        self._decided = {node: [Decided(0, now(), NodeWishes())] for node in own}
        self._beats: dict[str, Heartbeat] = {}
        self._heard: dict[str, tuple[float, float]] = {}
        """For each node when it was last heard, and since when without a gap, a restart or a farewell."""
        self._farewells: dict[str, tuple[float, int]] = {}
        """When each instance said that it leaves, and the newest term by then."""
        self._term = 0
        self._able_since: dict[str, float] = {}
        self._waits_since: dict[str, float] = {}
        self._idles_since: dict[str, float] = {}
        """Since when each task waits, be it in the queue or in line at a node."""

    def led(self, epoch: int) -> None:
        """A term has begun: somebody holds the lease."""
        self._term = max(self._term, epoch)

    def decided(self, node: str, revision: int, data: bytes) -> None:
        wishes = codec.decode(data, NodeWishes) if data else NodeWishes()
        self._decided[node].append(Decided(revision, self._now(), wishes))

    def heartbeat(self, beat: Heartbeat) -> bool:
        """A heartbeat is carried to whoever leads; False for one that was overtaken."""
        now, node, known = self._now(), beat.node, self._beats.get(beat.node)
        if beat.leaving:
            self._farewells.setdefault(beat.instance, (now, self._term))
        if known is not None and known.instance == beat.instance and beat.beat <= known.beat:
            return False
        self._beats[node] = beat
        last, since = self._heard.get(node, (0.0, now))
        is_same = known is not None and known.instance == beat.instance and now - last < HEARTBEATS_APART_S
        self._heard[node] = now, since if is_same and not beat.leaving and not beat.trouble else now
        return True

    def may_hold(self, node: str, epoch: int) -> list[NodeWishes]:
        """What a leader of that term may go by: the value that it must know, and everything newer.

        A takeover reads what stands; terms and these values are numbered by the same bucket.
        """
        values = self._decided[node]
        known = 0
        for index, value in enumerate(values):
            if value.revision < epoch or self._now() - value.at > HEARD_WITHIN_S:
                known = index
        return [value.wishes for value in values[known:]]

    def slots(self, node: str, epoch: int) -> int:
        """The most that a leader of that term may take it to have."""
        return max(self._slots(node, wishes) for wishes in self.may_hold(node, epoch))

    def placed(self, task: str, row: TaskRow) -> None:
        """A row was stored that gives a task to a node."""
        node, request = row.place, row.request
        values = self.may_hold(node, row.epoch)
        is_open = any(not wishes.is_closed for wishes in values)
        self._check("none_to_a_closed_node", is_open, task, "was given to", node, "which is", values[-1])
        if request is not None:
            fits = any(self._fits(row, self._tags(node, wishes)) for wishes in values)
            wanted = ("wants", request.tags, "and avoids", request.avoid_tags, "and was given to", node)
            self._check("tags_are_kept", fits, task, *wanted, "with", self._tags(node, values[-1]))
        if (said := self._farewells.get(row.instance)) is not None and row.epoch <= said[1]:
            ago_s = self._now() - said[0]
            told = (task, "was given to", node, "which had said", round(ago_s, 1), "s before that it leaves")
            self._check("none_to_one_that_left", ago_s < FAREWELL_WITHIN_S, *told)

    def nobody_leads(self) -> None:
        """Nothing can be placed just now: waiting counts afresh."""
        self._able_since.clear()
        self._waits_since.clear()
        self._idles_since.clear()

    def look(self, waiting: Sequence[Waits], at_nodes: Sequence[Waits]) -> None:
        """While one leader works: what is due in the queue, and what stands at nodes."""
        now = self._now()
        free = {node: self._now_has(node) for node in self._own}
        for _, row in at_nodes:
            free[row.place] -= 1
        in_line = [one for one in at_nodes if free[one.row.place] < 0 and self._says_waits(*one)]
        self._able_since = {node: self._able_since.get(node, now) for node, left in free.items() if left > 0}
        self._waits_since = {one.task: self._waits_since.get(one.task, now) for one in waiting}
        self._idles_since = {one.task: self._idles_since.get(one.task, now) for one in (*waiting, *in_line)}
        for one in waiting:
            self._looked_after("no_room_is_left_unused", one, self._waits_since)
        for one in in_line:
            self._looked_after("no_slot_is_free_beside_a_line", one, self._idles_since)

    def _looked_after(self, invariant: str, one: Waits, waits_since: dict[str, float]) -> None:
        """It does not wait while a node could have it."""
        now, waits_s = self._now(), self._now() - waits_since[one.task]
        if waits_s < IDLE_MAX_S:
            return
        for node, able_since in self._able_since.items():
            able_s = now - max(able_since, self._decided[node][-1].at, self._heard[node][1])
            tags = self._tags(node, self._decided[node][-1].wishes)
            is_idle = able_s >= IDLE_MAX_S and node not in one.row.avoid and self._fits(one.row, tags)
            told = (one.task, "waits for", round(waits_s, 1), "s and", node, "has room for", round(able_s, 1), "s")
            self._check(invariant, not is_idle, *told)

    def _says_waits(self, task: str, row: TaskRow) -> bool:
        """Whether its node was heard to say so a moment ago."""
        beat = self._beats.get(row.place)
        if beat is None or self._now() - self._heard[row.place][0] >= HEARTBEATS_APART_S:
            return False
        return Held(task, row.attempt, "waiting") in beat.held

    def _now_has(self, node: str) -> int:
        """Slots for new tasks; 0 where it is closed, or not heard."""
        wishes, beat = self._decided[node][-1].wishes, self._beats.get(node)
        if wishes.is_closed or beat is None or beat.leaving or beat.trouble:
            return 0
        return self._slots(node, wishes) if self._now() - self._heard[node][0] < HEARTBEATS_APART_S else 0

    def _slots(self, node: str, wishes: NodeWishes) -> int:
        return self._own[node].slots if wishes.slots is None else wishes.slots

    def _tags(self, node: str, wishes: NodeWishes) -> tuple[str, ...]:
        return self._own[node].tags if wishes.tags is None else wishes.tags

    def _fits(self, row: TaskRow, tags: tuple[str, ...]) -> bool:
        request = row.request
        return request is None or (set(request.tags) <= set(tags) and not set(request.avoid_tags) & set(tags))


def is_waiting(row: TaskRow) -> bool:
    """In the queue, and wished to run."""
    return row.state is State.QUEUED and row.desired is Desired.RUN
