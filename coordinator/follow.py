"""What nodes report, consumed durably: a fact is acked when its change is stored, or is seen to be none (rule 6)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import anyio
import msgspec
import structlog

from broker import consumers, pull
from broker.errors import BrokerError
from broker.pull import Delivery
from coordinator import judging, moves
from coordinator.cooling import asked_for
from coordinator.intake import ACK_WAIT_S, BATCH, InHand, settle, take_in
from coordinator.term import Term
from coordinator.wants import origins_of
from schemas import subjects as s
from schemas.event import AnyEvent, AttemptFailed, Completed, Fact, Released, decode_event
from schemas.lifecycle import State
from schemas.oddity import Oddity
from schemas.task import UNLESS_BEGUN, StoredRow

log = structlog.get_logger()


class Reported(NamedTuple):
    """A fact among others that came with it."""

    at: int
    fact: Fact
    writer: str
    """The node that stored it, by its subject."""
    stored_at: float
    """Unix seconds, the broker's clock."""


PREFIX = "facts-"
ENDS = "finished.completed"
DRAIN_WITHIN_S = 10.0
"""Without any progress: a fact that can't be read must not keep every leader from leading."""
DRAIN_LOOK_S = 0.05
DRAIN_IN_FLIGHT = 2 * BATCH
"""One batch is acted on while the next is read."""
TIDY_WITHIN_S = 0.05
"""What takes longer than a placement's clean-up is waited for task by task."""


async def open_consumer(term: Term) -> str:
    """This term's consumer of facts, from where the earlier ones had acked everything; then delete those.

    A consumer a term: what a deposed leader had in hand comes at once instead of after its ack wait, and
    its late acks reach nothing.
    """
    name = f"{PREFIX}{term.tag}"
    listed = await term.connection.api(f"CONSUMER.NAMES.{s.EVENTS_STREAM}")
    older = [old for old in listed.get("consumers") or () if old.startswith(PREFIX) and old != name]
    floors = []
    for old in older:
        info = await term.connection.api(f"CONSUMER.INFO.{s.EVENTS_STREAM}.{old}")
        floors.append(int(info["ack_floor"]["stream_seq"]))
    start: dict[str, Any] = {"deliver_policy": "by_start_sequence", "opt_start_seq": min(floors) + 1} if floors else {}
    if name not in (listed.get("consumers") or ()):
        await consumers.create(
            term.connection,
            s.EVENTS_STREAM,
            name,
            s.FACTS,
            is_large=True,  # several filters cost a look at the whole log, wherever it begins
            durable_name=name,
            ack_policy="explicit",
            ack_wait=ACK_WAIT_S * consumers.NS,
            max_ack_pending=4 * BATCH,
            **({"deliver_policy": "all"} | start),
        )
    for old in older:
        await consumers.delete(term.connection, s.EVENTS_STREAM, old)
    return name


async def drain(term: Term) -> None:
    """At takeover, before any repair: act on every fact reported so far."""
    name = await open_consumer(term)
    in_hand = InHand(DRAIN_IN_FLIGHT)

    async def some(reader: pull.Pull, deliveries: Sequence[Delivery]) -> None:
        try:
            if await settle(term, reader, deliveries, act_on):
                waiting.deadline = anyio.current_time() + DRAIN_WITHIN_S  # counted from the last one
        finally:
            in_hand.settle(len(deliveries))

    with anyio.move_on_after(DRAIN_WITHIN_S) as waiting:
        async with (
            pull.reading(term.connection, s.EVENTS_STREAM, name, batch=BATCH) as reader,
            anyio.create_task_group() as tasks,
        ):
            while await _left(term, name):
                while (delivery := await reader.next(no_wait=True)) is not None:
                    deliveries = [delivery, *reader.ready(await in_hand.room() - 1)]
                    in_hand.take(len(deliveries))
                    tasks.start_soon(some, reader, deliveries)
                await anyio.sleep(DRAIN_LOOK_S)
    if waiting.cancelled_caught:
        log.error("some facts could not be acted on at takeover; they will come again")


async def _left(term: Term, name: str) -> bool:
    """Whether a fact was not delivered yet, or not acked."""
    info = await term.connection.api(f"CONSUMER.INFO.{s.EVENTS_STREAM}.{name}")
    return bool(info["num_pending"] or info["num_ack_pending"])


async def follow_facts(term: Term) -> None:
    """Act on facts for the length of the term."""
    await take_in(term, s.EVENTS_STREAM, open_consumer, act_on)


async def act_on(term: Term, deliveries: Sequence[Delivery]) -> list[BrokerError | None]:
    """Act on reports: for each, whether it may be acked. One that can't be read is counted, logged and passed over."""
    fates: list[BrokerError | None] = [None] * len(deliveries)
    facts = [reported for index, delivery in enumerate(deliveries) if (reported := _read(term, index, delivery))]
    left = await _still_standing(term, await _complete(term, await _complete(term, facts)))

    async def one(reported: Reported) -> None:
        try:
            await act(term, reported.fact, writer=reported.writer, stored_at=reported.stored_at)
        except BrokerError as error:
            fates[reported.at] = error

    if left:
        async with anyio.create_task_group() as tasks:
            for reported in left:
                tasks.start_soon(one, reported)
    return fates


async def _complete(term: Term, facts: Sequence[Reported]) -> list[Reported]:
    """End the tasks whose completion needs no look at the broker, at once; returns what is left to do.

    Those are tasks whose rows are known and on which nobody works. Where a task was only just placed, its placement
    is still tidied up: that is waited for, and the second call takes it.
    """
    completed: dict[str, str] = {}
    left: list[Reported] = []
    for reported in facts:
        task = reported.fact.task
        is_plain = task in term.book and task not in term.locks and task not in completed
        if isinstance(reported.fact, Completed) and is_plain:
            completed[task] = reported.writer
            _measure(term, reported.fact)
            _count(term, reported.fact)
        else:
            left.append(reported)
    with term.locks.all_of(completed):
        await term.clear_known(completed)
    with anyio.move_on_after(TIDY_WITHIN_S):
        for reported in left:
            if isinstance(reported.fact, Completed):
                await term.locks.until_free(reported.fact.task)
    return left


async def _still_standing(term: Term, facts: Sequence[Reported]) -> list[Reported]:
    """Without the completions of tasks that have no row any more: after a change of leader most are such repeats."""
    asked = [one.fact.task for one in facts if isinstance(one.fact, Completed) and one.fact.task not in term.book]
    rows = dict(zip(asked, await term.table.tops(asked), strict=True))
    gone = {task for task, row in rows.items() if row is None and task not in term.locks}
    return [one for one in facts if not isinstance(one.fact, Completed) or one.fact.task not in gone]


def _read(term: Term, index: int, delivery: Delivery) -> Reported | None:
    """A fact as it was reported; None for what is none, or says otherwise than its subject: counted, logged, acked.

    The subject is what the broker let the node write to. An outcome counts by it alone: the task has ended whatever
    the text says, and no other outcome will be taken.
    """
    about = s.parse_event(delivery.subject)
    problem, oddity = "its text and its subject differ", Oddity.FACT_MISADDRESSED
    fact: AnyEvent | None = None
    try:
        fact = decode_event(delivery.data)
    except msgspec.MsgspecError as error:
        problem, oddity = str(error), Oddity.FACT_UNREADABLE
    if isinstance(fact, AttemptFailed | Released | Completed) and (fact.task, fact.kind) == (about.task, about.kind):
        return Reported(index, fact, about.writer, delivery.stored_at)
    term.oddities[oddity] += 1
    log.error("a report can't be used", subject=delivery.subject, problem=problem)
    if about.kind != ENDS:
        return None
    nothing = Completed(
        task=about.task, owner="", time=term.now(), node=about.writer, path="", bytes=0, digest="", seconds=0
    )
    return Reported(index, nothing, about.writer, delivery.stored_at)


def _measure(term: Term, fact: Completed) -> None:
    """How fast its node got the file from its origin, where one alone can have served it."""
    top = term.book.top(fact.task)
    if top is not None and top.row.request is not None and len(origins := origins_of(top.row.request)) == 1:
        term.desk.measured(fact.node, origins[0], fact.bytes, fact.seconds)


def _count(term: Term, fact: Completed) -> None:
    term.outcomes["completed"] += 1
    term.desk.turnover.left(fact.node, anyio.current_time())
    judging.note_completed(term, fact)
    log.debug("task finished", task=fact.task, outcome="completed", node=fact.node, bytes=fact.bytes)


async def act(term: Term, fact: Fact, *, writer: str, stored_at: float | None = None) -> None:
    """Make the table say what a node reported. Repeats, and facts of attempts long over, change nothing.

    `stored_at`: when the broker stored the fact, Unix seconds; now, where nobody says.
    """
    asked_at = term.connection.clock.now() if stored_at is None else stored_at
    async with term.only(fact.task):
        if isinstance(fact, Completed):
            _measure(term, fact)
            if fact.task in term.book:
                await term.clear_known({fact.task: writer})
            else:
                await term.clear(fact.task, holder=writer)
            _count(term, fact)
            return
        while True:
            top = term.book.top(fact.task)
            if top is None or not concerns(top, fact, writer):
                # A stale view is no reason to drop a fact: ask the stream's leader.
                top = await term.refresh(fact.task)
            if fact.node == writer and (asked := asked_for(fact, top.row if top else None, asked_at)):
                await term.handover.cool(asked.origins, asked.until)
            if top is not None and top.row.state is State.ENDING:
                await term.finish(fact.task)
                return
            if top is None or not concerns(top, fact, writer):
                oddity = await _why_not(term, top, fact, writer)
                term.oddities[oddity] += 1
                told = {"task": fact.task, "fact": fact.kind, "attempt": fact.attempt, "node": writer}
                log.debug("fact changes nothing", why=str(oddity), **told)
                return
            if await term.apply(top, _change(term, top, fact)):
                if isinstance(fact, AttemptFailed):
                    judging.note_failed(term, fact, top.row.request)
                return


def concerns(top: StoredRow, fact: AttemptFailed | Released, writer: str) -> bool:
    """Whether a fact is about the attempt that stands now, from the node it stands at."""
    row = top.row
    return row.state is State.ASSIGNED and row.place == writer == fact.node and row.attempt == fact.attempt


async def _why_not(term: Term, top: StoredRow | None, fact: AttemptFailed | Released, writer: str) -> Oddity:
    """Why a fact changes nothing, for whoever looks at the counts. Raises BrokerError."""
    if fact.node != writer:
        return Oddity.FACT_MISADDRESSED
    if top is None:
        (ended,) = await term.events.outcomes([fact.task])
        return Oddity.FACT_OF_UNKNOWN_TASK if ended is None else Oddity.FACT_OF_ENDED_TASK
    if fact.attempt < top.row.attempt:
        return Oddity.FACT_OF_OLD_ATTEMPT
    if fact.attempt > top.row.attempt or top.row.state is not State.ASSIGNED:
        return Oddity.FACT_OF_UNKNOWN_ATTEMPT
    return Oddity.FACT_OF_OTHER_NODE


def _change(term: Term, top: StoredRow, fact: AttemptFailed | Released) -> moves.Requeue | moves.End:
    if isinstance(fact, Released):
        if top.row.code in UNLESS_BEGUN:
            return moves.came_back(top.row, fact.size)
        return moves.given_back(top.row, fact.reason, fact.size)
    return moves.attempt_failed(top.row, fact, term.settings, term.dice.random())
