"""The leader reads its own table: whole at takeover, live afterwards, whole again every few minutes (rule 11)."""

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

import anyio
import anyio.lowlevel
import structlog

from broker import pull
from broker.errors import ApiRefused, BrokerError, ConsumerGone, StoreFull, Unanswered
from broker.pull import Delivery
from broker.table import MARKER, decode_row
from coordinator.term import Term
from schemas import subjects as s
from schemas.oddity import Oddity
from schemas.task import StoredRow

log = structlog.get_logger()

AUDIT_EVERY_S = 180.0
RETRY_S = 0.5
BATCH = 500
STEPS_IN_A_ROW = 500
"""About 20 ms."""

T = TypeVar("T")


async def audit(term: Term) -> None:
    """Read TASKS whole into the book, from a replica that has seen everything written before this call."""
    while True:
        try:
            marker = await _latest(term)
            found = await pull.snapshot(term.connection, s.TASKS_STREAM, s.TASKS_ALL)
            if found.at_least >= marker:
                break
            log.debug("a replica lags behind the table, reading again", marker=marker, seen=found.at_least)
        except (ConsumerGone, Unanswered) as error:
            log.warning("reading the table was interrupted, trying again", problem=str(error))
        await anyio.sleep(RETRY_S)
    rows: list[StoredRow] = []
    unreadable = 0
    async for delivery in unhurried(found.deliveries):
        if (stored := decode_row(delivery)) is not None:
            rows.append(stored)
        else:
            unreadable += not delivery.subject.endswith(MARKER)
    term.oddities[Oddity.ROW_UNREADABLE] = unreadable  # how many stand there now
    async for _ in unhurried(term.book.audit(rows, found.at_least)):
        pass
    term.book.feed_passed(found.at_least)


async def _latest(term: Term) -> int:
    """A sequence that a reading must have come to. A full table takes no marker: then what stands there will do.

    A reading that shows the newest row, but from a replica that lags behind deletes, has rows too many: no term
    vouches for those, so that each is checked before anything is done with it (rule 11).
    """
    try:
        return await term.table.mark()
    except StoreFull:
        return await term.table.newest()


async def unhurried(items: Iterable[T]) -> AsyncIterator[T]:
    """The same items, letting others work now and then: a lease must be renewed while a million rows are read."""
    for index, item in enumerate(items):
        if index % STEPS_IN_A_ROW == 0:
            await anyio.lowlevel.checkpoint()
        yield item


async def feed_book(term: Term) -> None:
    """Keep the book in step for the length of the term; a feed that died is replaced after an audit."""
    while True:
        try:
            await _follow_table(term)
        except BrokerError as error:
            log.warning("the table feed was interrupted, reading whole", problem=str(error))
            await anyio.sleep(RETRY_S)
            await audit(term)


async def _follow_table(term: Term) -> None:
    """Deliver rows as they are stored until the next audit is due or a reconnect asks for one."""
    reconnected = anyio.Event()
    stop_watching = term.connection.on_reconnect(reconnected.set)
    name = f"feed-{term.tag}-{term.dice.randrange(1 << 32):08x}"
    try:
        await pull.create_consumer(
            term.connection,
            s.TASKS_STREAM,
            name,
            (s.TASKS_ALL,),
            deliver_policy="new",
            ack_policy="none",
            inactive_threshold=pull.EPHEMERAL_FOR_S * pull.NS,
            mem_storage=True,
            num_replicas=1,
        )
        # What was stored between the last reading and this consumer is caught by reading once more.
        await audit(term)
        audited_at = anyio.current_time()
        async with pull.reading(term.connection, s.TASKS_STREAM, name, batch=BATCH) as reader:
            while not reconnected.is_set() and anyio.current_time() - audited_at < AUDIT_EVERY_S:
                if (delivery := await reader.next()) is not None:
                    _learn(term, delivery)
    finally:
        stop_watching()
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            try:
                if term.connection.is_connected:
                    await pull.delete_consumer(term.connection, s.TASKS_STREAM, name)
            except (Unanswered, ApiRefused):
                log.debug("a feed was left behind; the server drops it", consumer=name)


def _learn(term: Term, delivery: Delivery) -> None:
    """Take a row as the table has it. Most are our own writes: only their store time is news."""
    task = s.parse_task(delivery.subject).task
    is_known = term.book.stored(task, delivery.sequence, delivery.stored_at)
    if not is_known and (stored := decode_row(delivery)) is not None:
        term.book.learn(stored)
    term.book.feed_passed(delivery.sequence)
