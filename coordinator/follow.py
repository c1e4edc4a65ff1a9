"""What nodes report, consumed durably: a fact is acked when its change is stored, or is seen to be none (rule 6)."""

import anyio
import msgspec
import structlog
from anyio.abc import TaskGroup

from broker import pull
from broker.errors import ApiRefused, BrokerError, ConsumerGone, Unanswered
from broker.pull import Delivery, Pull
from coordinator import moves
from coordinator.term import Term
from schemas import subjects as s
from schemas.event import AttemptFailed, Completed, Fact, Released, decode_event
from schemas.lifecycle import State
from schemas.task import StoredRow

log = structlog.get_logger()

PREFIX = "facts-"
BATCH = 256
IN_FLIGHT = 128
ACK_WAIT_S = 30
RETRY_S = 0.5


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
    start = {"deliver_policy": "by_start_sequence", "opt_start_seq": min(floors) + 1} if floors else {}
    if name not in (listed.get("consumers") or ()):
        await pull.create_consumer(
            term.connection,
            s.EVENTS_STREAM,
            name,
            s.FACTS,
            durable_name=name,
            ack_policy="explicit",
            ack_wait=ACK_WAIT_S * pull.NS,
            max_ack_pending=4 * BATCH,
            **({"deliver_policy": "all"} | start),
        )
    for old in older:
        await pull.delete_consumer(term.connection, s.EVENTS_STREAM, old)
    return name


async def drain(term: Term) -> None:
    """At takeover, before any repair: act on every fact reported so far."""
    name = await open_consumer(term)
    async with pull.reading(term.connection, s.EVENTS_STREAM, name, batch=BATCH) as reader:
        while True:
            async with anyio.create_task_group() as tasks:
                first = await reader.next(no_wait=True)
                delivery = first
                while delivery is not None:
                    tasks.start_soon(_act_one, term, reader, delivery, None)
                    delivery = await reader.next(no_wait=True) if delivery.pending else None
            if first is None:
                return


async def follow_facts(term: Term) -> None:
    """Act on facts for the length of the term."""
    limiter = anyio.CapacityLimiter(IN_FLIGHT)
    async with anyio.create_task_group() as tasks:
        while True:
            try:
                name = await open_consumer(term)
                async with pull.reading(term.connection, s.EVENTS_STREAM, name, batch=BATCH) as reader:
                    await _read(term, reader, tasks, limiter)
            except (ConsumerGone, Unanswered, ApiRefused) as error:
                log.warning("following was interrupted, trying again", problem=str(error))
                await anyio.sleep(RETRY_S)


async def _read(term: Term, reader: Pull, tasks: TaskGroup, limiter: anyio.CapacityLimiter) -> None:
    while True:
        delivery = await reader.next()
        if delivery is not None:
            await limiter.acquire_on_behalf_of(delivery.reply)
            tasks.start_soon(_act_one, term, reader, delivery, limiter)


async def _act_one(term: Term, reader: Pull, delivery: Delivery, limiter: anyio.CapacityLimiter | None) -> None:
    try:
        try:
            fact = decode_event(delivery.data)
        except msgspec.MsgspecError as error:
            term.undecodable += 1
            log.error("a fact can't be read and is passed over", subject=delivery.subject, problem=str(error))
            fact = None
        if isinstance(fact, AttemptFailed | Released | Completed):
            await act(term, fact, writer=s.parse_event(delivery.subject).writer)
    except BrokerError as error:
        log.warning("a fact could not be acted on yet", subject=delivery.subject, problem=str(error))
        await reader.nak(delivery, RETRY_S)
    else:
        await reader.ack(delivery)
    finally:
        if limiter is not None:
            limiter.release_on_behalf_of(delivery.reply)


async def act(term: Term, fact: Fact, *, writer: str) -> None:
    """Make the table say what a node reported. Repeats, and facts of attempts long over, change nothing."""
    async with term.only(fact.task):
        if isinstance(fact, Completed):
            term.outcomes["completed"] += 1
            await term.clear(fact.task, holder=writer)
            log.info("task finished", outcome="completed", node=fact.node, bytes=fact.bytes, attempt=fact.attempt)
            return
        while True:
            top = term.book.top(fact.task)
            if top is None or not concerns(top, fact, writer):
                # A stale view is no reason to drop a fact: ask the stream's leader.
                top = await term.refresh(fact.task)
            if top is not None and top.row.state is State.ENDING:
                await term.finish(fact.task)
                return
            if top is None or not concerns(top, fact, writer):
                term.ignored_facts += 1
                log.debug("fact changes nothing", fact=fact.kind, attempt=fact.attempt, node=fact.node)
                return
            if await term.apply(top, _change(term, top, fact)):
                return


def concerns(top: StoredRow, fact: AttemptFailed | Released, writer: str) -> bool:
    """Whether a fact is about the attempt that stands now, from the node it stands at."""
    row = top.row
    return row.state is State.ASSIGNED and row.place == writer == fact.node and row.attempt == fact.attempt


def _change(term: Term, top: StoredRow, fact: AttemptFailed | Released) -> moves.Requeue | moves.End:
    if isinstance(fact, Released):
        return moves.given_back(top.row, fact.reason)
    return moves.attempt_failed(top.row, fact, term.settings, term.dice.random())
