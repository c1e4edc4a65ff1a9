"""The promises, by name, checked against what the broker stores: never against what a component believes."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from broker.connection import REQUEST_TIMEOUT_S
from broker.pull import Delivery
from coordinator.claim import first_row
from schemas import codec
from schemas import subjects as s
from schemas.event import Completed, Finished, decode_event
from schemas.heartbeat import Heartbeat
from schemas.lifecycle import Desired, State
from schemas.redact import origin_of
from schemas.settings import CoordinatorSettings
from schemas.task import TaskRow
from tests.sim.broker.clock import EPOCH_NS, NS
from tests.sim.fleet import FleetJudge, Own, Waits, is_waiting

GRACE_S = 8.0
"""How long a leader may go on with a task that ended a moment ago: it may not have heard yet."""
LATE_S = REQUEST_TIMEOUT_S + 3.0
"""How long after its deadline a placement may be stored: it was under way, a write without an answer is repeated, and
clocks follow the broker's roughly.
"""
HEARTBEATS_APART_S = 8.0
"""Less than the loss time-out: who is heard so often is not lost."""
HEARD_LONG_S = 3.0
"""So long beyond the loss time-out a node must have been heard for its rescue to be a mistake."""
PREFETCH = 1
"""What waits at a node beyond its slots, in worlds where downloads take seconds."""


class Violated(Exception):
    """A promise was broken."""

    def __init__(self, invariant: str, said: str) -> None:
        super().__init__(f"{invariant}: {said}")
        self.invariant = invariant


class Standing(NamedTuple):
    """A row in the table."""

    row: TaskRow
    at: float
    again: bool = False
    """It had been replaced; nobody may know of it yet."""


class Ended(NamedTuple):
    event: Finished
    writer: str
    at: float


class Judge:
    """Sees every write and delete of the broker, in their order. The first broken promise stands in `violated`."""

    def __init__(
        self, now: Callable[[], float], settings: CoordinatorSettings, own: dict[str, Own], limit: int = 0
    ) -> None:
        """`own` settings by node; `limit`: downloads at once from each origin, 0 for any number."""
        self._now = now
        self._settings = settings
        self.fleet = FleetJudge(now, own, self.check)
        self._limit = limit
        self.accepted: dict[str, int] = {}
        """Tasks that an acked request stands for, with the request's sequence."""
        self.inbox: dict[int, str] = {}
        self.rows: dict[str, dict[int, Standing]] = {}
        self.outcomes: dict[str, Ended] = {}
        self._where: dict[int, str] = {}
        self._highest: dict[str, int] = {}
        self._origins_of: dict[str, frozenset[str]] = {}
        """Of every task that had a row."""
        self._given: dict[tuple[str, int], str] = {}
        self._paused: set[str] = set()
        """Tasks that were paused at some time."""
        self._heard: dict[str, tuple[float, float]] = {}
        """For each node when it was last heard, and since when without a gap."""
        self.has_file: Callable[[Completed], bool] = lambda event: True
        self.violated: Violated | None = None
        self.stop: Callable[[], None] = lambda: None

    def check(self, invariant: str, holds: bool, *said: object) -> None:
        if not holds and self.violated is None:
            self.violated = Violated(invariant, " ".join(str(one) for one in said))
            self.stop()

    def top(self, task: str) -> Standing | None:
        rows = self.rows.get(task)
        return rows[max(rows)] if rows else None

    def request_stored(self, delivery: Delivery) -> str:
        row = first_row(delivery)
        self.accepted.setdefault(row.task, delivery.sequence)
        self.inbox[delivery.sequence] = row.task
        return row.task

    def request_removed(self, sequence: int) -> None:
        task = self.inbox.pop(sequence)
        stands = bool(self.rows.get(task)) or task in self.outcomes
        self.check("no_lost_task", stands, "request", sequence, "was acked, and task", task, "has no row or outcome")

    def row_stored(self, sequence: int, place: str, task: str, row: TaskRow) -> None:
        top, now = self.top(task), self._now()
        is_over = task in self.outcomes
        if Desired.PAUSE in row.wish:
            self._paused.add(task)
        if not is_over:
            self._attempts(task, row, top)
        if top is not None and top.row.state is State.ENDING:
            self.check("ending_is_final", row.state is State.ENDING, task, "was ending and is", row.state)
        if row.state is State.QUEUED:
            most = (row.request.max_attempts if row.request else None) or self._settings.max_attempts
            self.check("bounded_retries", row.failures < most, task, "is queued after", row.failures, "failures")
        if row.state is State.ASSIGNED and (top is None or top.row.place != place):
            self._placed(task, row, top)
        if top is not None and top.row.state is State.ASSIGNED and row.reason.endswith("was lost"):
            self._rescued(top.row.place, task)
        rows = self.rows.setdefault(task, {})
        for older in [number for number, one in rows.items() if one.row.place == place]:
            del rows[older], self._where[older]
        rows[sequence] = Standing(row, now)
        self._where[sequence] = task
        if row.state is State.ASSIGNED:
            standing = [other for other in self.rows if (top := self.top(other)) and top.row.state is State.ASSIGNED]
            self.within_limit(task, standing, "stand at nodes")

    def row_stands_again(self, sequence: int, task: str, row: TaskRow) -> None:
        """One that was replaced, of a place whose row was deleted: the broker was killed."""
        self.rows.setdefault(task, {})[sequence] = Standing(row, self._now(), again=True)
        self._where[sequence] = task

    def within_limit(self, task: str, tasks: Iterable[str], said: str) -> None:
        """Of `tasks`, those of the origins of `task` are no more than may be."""
        if self._limit:
            for origin in self._origins(task):
                alike = sorted(other for other in tasks if origin in self._origins(other))
                self.check("origin_limit", len(alike) <= self._limit, *alike, "of", origin, said)

    def _origins(self, task: str) -> frozenset[str]:
        if (top := self.top(task)) is not None and top.row.request is not None:
            self._origins_of[task] = frozenset(map(origin_of, top.row.request.uris))
        return self._origins_of.get(task, frozenset())

    def _attempts(self, task: str, row: TaskRow, top: Standing | None) -> None:
        highest = self._highest.get(task, 0)
        self.check("attempts_only_rise", row.attempt >= highest, task, "fell from attempt", highest, "to", row.attempt)
        self.check("attempts_only_rise", row.attempt <= highest + 1, task, "jumped", highest, "to", row.attempt)
        if top is not None and top.row.place != row.place and row.state in (State.QUEUED, State.ASSIGNED):
            due = top.row.attempt + (top.row.state is State.ASSIGNED)
            self.check("attempts_only_rise", row.attempt == due, task, "moved to", row.place, "as", row.attempt)
        self._highest[task] = row.attempt
        if row.state is State.ASSIGNED:
            first = self._given.setdefault((task, row.attempt), row.place)
            told = (task, "attempt", row.attempt, "was given to", first, "and to", row.place)
            self.check("one_place", first == row.place, *told)

    def _placed(self, task: str, row: TaskRow, top: Standing | None) -> None:
        ended = self.outcomes.get(task)
        if ended is not None and top is not None and top.at > ended.at:
            told = (task, "ended", round(self._now() - ended.at, 1), "s ago, was queued again and is placed")
            self.check("no_second_life", self._now() - ended.at < GRACE_S, *told)
        if row.request is not None and row.request.deadline is not None:
            late_s = self._now() + EPOCH_NS / NS - row.request.deadline.timestamp()
            self.check("no_start_too_late", late_s < LATE_S, task, "is placed", round(late_s, 1), "s past its deadline")
        paused = self._paused | {task}  # these take no slots, and may go on while another is on its way there
        tops = [top.row for other in self.rows if (top := self.top(other)) is not None and other not in paused]
        there = sum(one.place == row.place and one.epoch == row.epoch and one.state is State.ASSIGNED for one in tops)
        room = self.fleet.slots(row.place, row.epoch) + PREFETCH
        self.check("no_herding", there < room, row.place, "has room for", room, "tasks and got", there + 1)
        self.fleet.placed(task, row)

    def _rescued(self, node: str, task: str) -> None:
        last, since = self._heard.get(node, (0.0, 0.0))
        now = self._now()
        is_heard = now - last < HEARTBEATS_APART_S
        too_long = now - since > self._settings.node_lost_after_s + HEARD_LONG_S
        told = (task, "was taken from", node, "which was heard for", round(now - since, 1), "s without a gap")
        self.check("no_needless_rescue", not (is_heard and too_long), *told)

    def row_deleted(self, sequence: int) -> None:
        task = self._where.pop(sequence, None)
        if task is None:
            return
        rows = self.rows[task]
        del rows[sequence]
        self.check("no_lost_task", bool(rows) or task in self.outcomes, "the last row of", task, "was deleted")
        lower = sorted(number for number, one in rows.items() if number < sequence and not one.again)
        revived = bool(lower) and max(rows) < sequence
        self.check("lowest_deleted_first", not revived, "row", sequence, "of", task, "went before", lower)

    def event_stored(self, subject: str, data: bytes) -> None:
        parsed = s.parse_event(subject)
        event = decode_event(data)
        if not isinstance(event, Finished):
            return
        task, earlier = parsed.task, self.outcomes.get(parsed.task)
        told = (task, "ended", earlier.event.kind if earlier else "", "and then", event.kind, "by", parsed.writer)
        self.check("one_outcome", earlier is None, *told)
        if isinstance(event, Completed):
            given = self._given.get((task, event.attempt))
            holders = ("was given to", given, "and completed by", parsed.writer)
            self.check("only_the_holder_completes", given == parsed.writer, task, "attempt", event.attempt, *holders)
            whole = self.has_file(event)
            self.check("completed_is_whole", whole, task, "is completed and", parsed.writer, "has no", event.path)
        else:
            top = self.top(task)
            won = top is not None and top.row.state is State.ENDING and event.kind == f"finished.{top.row.outcome}"
            self.check("won_before_ended", won, task, event.kind, "was not won: the row is", top and top.row.state)
        self.outcomes[task] = Ended(event, parsed.writer, self._now())

    def look_at_fleet(self) -> None:
        """While one leader works: nothing waits beside a free slot for long, in the queue or in line."""
        now, tops = self._now(), [(task, top) for task in self.rows if (top := self.top(task)) is not None]
        waiting = [
            Waits(task, top.row)
            for task, top in tops
            if is_waiting(top.row) and task not in self.outcomes and top.at + top.row.delay_s <= now
        ]
        self.fleet.look(waiting, [Waits(task, top.row) for task, top in tops if top.row.state is State.ASSIGNED])

    def heartbeat(self, beat: Heartbeat) -> None:
        if not self.fleet.heartbeat(beat):
            return
        node, now = beat.node, self._now()
        last, since = self._heard.get(node, (0.0, now))
        self._heard[node] = now, since if now - last < HEARTBEATS_APART_S else now

    def unended(self) -> list[str]:
        return [task for task in self.accepted if task not in self.outcomes]

    def is_quiet(self) -> bool:
        """Whether the books balance."""
        return not (self.inbox or any(self.rows.values()) or self.unended())

    def balance(self) -> None:
        """After everything had time to end."""
        for task in self.unended():
            top = self.top(task)
            stands = f"{top.row.state} at {top.row.place}, to {top.row.desired}" if top else "no row"
            self.check(
                "everything_ends", False, "task", task, "has no outcome:", stands, "attempt", top and top.row.attempt
            )
        for task, ended in self.outcomes.items():
            if isinstance(ended.event, Completed):
                kept = self.has_file(ended.event)
                self.check("completed_is_whole", kept, task, "was completed, and", ended.event.path, "is gone")
        for task, rows in self.rows.items():
            left = [(number, str(one.row.state), one.row.place) for number, one in rows.items()]
            self.check("the_table_empties", not rows, task, "has rows still:", left)
        self.check("the_inbox_empties", not self.inbox, "requests", sorted(self.inbox), "are in the inbox still")


def decode_row(data: bytes) -> TaskRow | None:
    """A row as it is stored; None for the marker."""
    try:
        return codec.decode(data, TaskRow)
    except msgspec.MsgspecError:
        return None
