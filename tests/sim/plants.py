"""Mistakes to plant into the real code, each one that somebody could make: the simulation has to find them.

A plant lasts as long as its worker process. What the right code does is in the rule each one names.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from broker.client import ACK
from broker.errors import BrokerError, StoreFull, Unreadable
from broker.eventlog import EventLog
from broker.exchange import Ask
from broker.pull import Delivery, Pull
from coordinator import claim, desk, follow, idleslots, intake, moves, place, wants
from coordinator.endings import outcome_event
from coordinator.fleet import Fleet, Seen
from coordinator.plan import Planner
from coordinator.snapshot import NodeFacts, Placement, Wanted
from coordinator.term import Term
from node.agent import Agent
from node.closing import Closer
from schemas import subjects as s
from schemas.event import Finished
from schemas.heartbeat import Heartbeat
from schemas.task import StoredRow, TaskRow


def ack_before_the_create() -> None:
    """Rule 4: a request is acked only once its row stands."""
    _ack_first(s.REQUESTS_STREAM)


def fact_acked_before_its_change() -> None:
    """Rule 6: a fact is acked only once its change is stored."""
    _ack_first(s.EVENTS_STREAM)


def _ack_first(stream: str) -> None:
    async def settle(term: Term, reader: Pull, deliveries: Sequence[Delivery], act: intake.Act) -> int:
        for delivery in deliveries:
            if delivery.reply.startswith(f"{ACK}{stream}."):
                await reader.ack(delivery)
        return await right(term, reader, deliveries, act)

    right = intake.settle
    intake.settle = follow.settle = settle  # type: ignore[attr-defined]


def outcome_without_expected_sequence() -> None:
    """Rule 5: an outcome is written where there is none."""
    right = EventLog._outcome_ask

    def ask(self: EventLog, event: Finished) -> Ask:
        return right(self, event)._replace(headers=None)

    EventLog._outcome_ask = ask  # type: ignore[method-assign]


def ending_without_winning_the_row() -> None:
    """Rule 5: who ends a task wins its row first."""

    async def apply(self: Term, top: StoredRow, change: moves.Requeue | moves.End) -> bool:
        if isinstance(change, moves.End):
            await self.events.finish(outcome_event(change.row, self.about(change.row)))
            await self.clear(top.row.task)
            return True
        return await right(self, top, change)

    right = Term.apply
    Term.apply = apply  # type: ignore[method-assign]


def highest_deleted_first() -> None:
    """Rule 2: the lowest sequence goes first, the highest last."""
    right = Term._erase

    async def erase(
        self: Term,
        superseded: Sequence[tuple[StoredRow, int]],
        holders: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        await right(self, superseded[::-1], holders)

    Term._erase = erase  # type: ignore[method-assign]


def loss_timers_not_reset() -> None:
    """Rule 10: silence counts afresh after a takeover, a reconnect and a gap in one's own loop."""
    right = Fleet.__init__

    def begin(self: Fleet, now: float) -> None:
        right(self, -1e9)

    Fleet.__init__ = begin  # type: ignore[method-assign]
    Fleet.start_afresh = lambda self, now: None  # type: ignore[method-assign]


def reservations_forgotten() -> None:
    """Placing: what is placed is reserved at once, for the row is not there yet."""
    right = desk.Desk.plan

    def plan(self: desk.Desk, now: float, limit: int) -> list[Placement]:
        placements = right(self, now, limit)
        for placement in placements:
            self.planner.vacate(placement.task)
        return placements

    desk.Desk.plan = plan  # type: ignore[method-assign]


def attempt_raised_at_placing() -> None:
    """Rules of the model: the attempt rises when a task *leaves* a node, in the same write."""
    left, placed = moves._left, moves.placed

    def leave(row: TaskRow, *args: Any, **more: Any) -> TaskRow:
        return replace(left(row, *args, **more), attempt=row.attempt)

    def place(row: TaskRow, *args: Any, **more: Any) -> TaskRow:
        attempt = row.attempt + 1 if row.history else row.attempt
        return replace(placed(row, *args, **more), attempt=attempt)

    moves._left, moves.placed = leave, place


def outcome_not_read_at_claim() -> None:
    """Rule 4: after a create the outcome is read, always."""
    right = claim._admitted

    async def admitted(term: Term, row: TaskRow, stored: StoredRow | BrokerError | None, ended: object) -> bool:
        return await right(term, row, stored, None)

    claim._admitted = admitted


def ending_rows_left() -> None:
    """Rule 5: whoever leads finishes any ending row it finds."""

    async def finish(self: Term, task: str) -> None:
        if self.book.top(task) is None or self.book.top(task).sequence in self.book.vouched:  # type: ignore[union-attr]
            await right(self, task)

    right = Term.finish
    Term.finish = finish  # type: ignore[method-assign]


def lost_is_defeated() -> None:
    """Rule 3: an unanswered write may have been done: what stands is read before anything is given up."""
    right = EventLog.finish_all

    async def finish_all(self: EventLog, events: Sequence[Finished]) -> list[bool]:
        fates = await self._connection.store_all([self._outcome_ask(event) for event in events])
        return [isinstance(fate, int) for fate in fates]

    del right
    EventLog.finish_all = finish_all  # type: ignore[method-assign]


def own_completion_undone() -> None:
    """Rule 3: a refused completion may be one's own earlier try; its file is not deleted before that is known."""

    async def undone(self: Closer, session: Any, placed: Any) -> None:
        await self._workshop.unplace(session.task)
        self._ended(session, placed)

    Closer.came_second = undone  # type: ignore[method-assign]


def full_is_stored() -> None:
    """A stream that is full stored nothing: what it refused is asked for again."""

    async def settle(term: Term, reader: Pull, deliveries: Sequence[Delivery], act: intake.Act) -> int:
        fates = await act(term, deliveries)
        for delivery, fate in zip(deliveries, fates, strict=True):
            if fate is None or isinstance(fate, StoreFull | Unreadable):
                await reader.ack(delivery)
        return len(deliveries)

    intake.settle = follow.settle = settle  # type: ignore[attr-defined]


def cut_off_and_running_on() -> None:
    """Limits: a node stops what counts against one before its lock can run out."""
    Agent.hold = lambda self, *, is_held: 0  # type: ignore[method-assign]


def cordon_ignored() -> None:
    """Placing: nothing new goes to a node that is cordoned or drained."""
    desk.Desk.excluded = lambda self, node, trouble: trouble  # type: ignore[method-assign]


def avoided_tags_forgotten() -> None:
    """Placing: a node has the tags that are asked for, and none to be avoided."""
    right = wants._wanted

    def wanted(scheme: str, tags: Any, avoid: Any, prefer: Any, bandwidth: int) -> Wanted:
        return right(scheme, tags, (), prefer, bandwidth)

    wants._wanted = wanted  # type: ignore[assignment]


def overtaken_heartbeat_believed() -> None:
    """Of one process a heartbeat that was overtaken by a later one says nothing any more."""

    def hear(self: Fleet, heartbeat: Heartbeat, now: float) -> bool:
        self._seen[heartbeat.node] = Seen(heartbeat, now)
        return True

    Fleet.hear = hear  # type: ignore[method-assign]


def new_room_unnoticed() -> None:
    """Placing: what waits is looked at again when a node can take more."""
    right = Planner.set_node

    def set_node(self: Planner, facts: NodeFacts) -> None:
        vars(self)["_rose"] = lambda name: None
        right(self, facts)
        del vars(self)["_rose"]

    Planner.set_node = set_node  # type: ignore[method-assign,assignment]


def lines_left_alone() -> None:
    """Placing: what waits in line at a node goes where a slot stays free."""
    idleslots.lasting = lambda free, before: {}


def deadlines_left_to_the_watch() -> None:
    """What is too late is not begun, however soon the watch comes round."""
    desk.is_overdue = lambda row, now: False  # type: ignore[attr-defined]
    place._still_good = lambda term, due: due


PLANTS: dict[str, Callable[[], None]] = {
    plant.__name__: plant
    for plant in (
        ack_before_the_create,
        outcome_without_expected_sequence,
        ending_without_winning_the_row,
        highest_deleted_first,
        loss_timers_not_reset,
        reservations_forgotten,
        attempt_raised_at_placing,
        fact_acked_before_its_change,
        outcome_not_read_at_claim,
        ending_rows_left,
        lost_is_defeated,
        own_completion_undone,
        full_is_stored,
        cut_off_and_running_on,
        cordon_ignored,
        avoided_tags_forgotten,
        overtaken_heartbeat_believed,
        new_room_unnoticed,
        lines_left_alone,
        deadlines_left_to_the_watch,
    )
}
