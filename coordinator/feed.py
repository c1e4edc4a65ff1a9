"""The leader reads its own table: whole at takeover, live afterwards, whole again every few minutes (rule 11)."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TypeVar

import anyio
import anyio.lowlevel
import structlog

from broker import consumers, pull
from broker.errors import BrokerError, ConsumerGone, StoreFull, Unanswered
from broker.pull import Delivery
from broker.table import MARKER, decode_row
from coordinator import collecting
from coordinator.rowbook import Audit, TableReading
from coordinator.term import Term
from schemas import subjects as s
from schemas.oddity import Oddity
from schemas.task import StoredRow

log = structlog.get_logger()

AUDIT_EVERY_S = 180.0
AUDIT_PAUSE = 20
"""Times as long as the last reading took: one of a million rows is half a minute's work."""
AUDIT_AT_LAST_S = 900.0
"""However long it takes."""
RETRY_S = 0.5
BATCH = 500
STEPS_IN_A_ROW = 500
"""About 20 ms."""

T = TypeVar("T")


async def audit(term: Term) -> TableReading:
    """Read TASKS whole into the book, from a replica that has seen everything written before this call."""
    while True:
        reconnects, reading = term.connection.reconnects, term.book.audit()
        try:
            marker = await _latest(term)
            began = anyio.current_time()
            seen_to = await _read(term, reading, marker)
        except (ConsumerGone, Unanswered) as error:
            log.warning("reading the table was interrupted, trying again", problem=str(error))
        else:
            if seen_to >= marker:
                break
            log.debug("a replica lags behind the table, reading again", marker=marker, seen=seen_to)
        await anyio.sleep(RETRY_S)
    now = anyio.current_time()
    term.reading = TableReading(seen_to=seen_to, reconnects=reconnects, at=now, took_s=now - began)
    return term.reading


async def _read(term: Term, audit: Audit, marker: int) -> int:
    """Take the rows as they come; what is not shown goes only when all are there, up to the marker at least.

    Rows of a reading that came to nothing stay: each is as true as one from the feed. The sequence it came to.
    """
    unreadable, set_aside = 0, len(term.book)
    async with pull.snapshot(term.connection, s.TASKS_STREAM, s.TASKS_ALL) as found:
        async for batch in found.batches():
            unreadable += _take(audit, batch)
            if len(term.book) - set_aside >= collecting.LARGE:
                collecting.set_aside()
                set_aside = len(term.book)
            await anyio.lowlevel.checkpoint()
    if found.at_least >= marker:
        for _ in audit.finish(found.at_least):
            await anyio.lowlevel.checkpoint()
        term.book.feed_passed(found.at_least)
        if len(term.book) >= collecting.LARGE:
            collecting.set_aside()
        term.oddities[Oddity.ROW_UNREADABLE] = unreadable  # how many stand there now
    return found.at_least


def _take(audit: Audit, batch: Sequence[Delivery]) -> int:
    """Take the rows of a batch; most of those that are read again are known. How many can't be read."""
    news: list[tuple[StoredRow, bytes]] = []
    unreadable = 0
    for delivery in batch:
        task = s.task_in(delivery.subject)
        if task == MARKER or audit.knows(task, delivery.sequence, delivery.stored_at):
            continue
        if (stored := decode_row(delivery)) is None:
            unreadable += 1
        else:
            news.append((stored, delivery.data))
    audit.take(news)
    return unreadable


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
    """Deliver rows as they are stored until the next audit is due; after a reconnect it is."""
    read = term.reading if term.reading is not None and not _is_due(term, term.reading) else await audit(term)
    made = consumers.short_lived(
        term.connection,
        s.TASKS_STREAM,
        (s.TASKS_ALL,),
        name=f"feed-{term.tag}-{term.dice.randrange(1 << 32):08x}",
        deliver_policy="by_start_sequence",  # nothing that was stored since the reading is missed
        opt_start_seq=read.seen_to + 1,
    )
    async with made as (name, _), pull.reading(term.connection, s.TASKS_STREAM, name, batch=BATCH) as reader:
        while not _is_due(term, read):
            if (delivery := await reader.next()) is not None:
                _learn(term, delivery)


def _is_due(term: Term, read: TableReading) -> bool:
    """Whether the table must be read whole again."""
    every_s = min(AUDIT_AT_LAST_S, max(AUDIT_EVERY_S, AUDIT_PAUSE * read.took_s))
    return read.reconnects != term.connection.reconnects or anyio.current_time() - read.at >= every_s


def _learn(term: Term, delivery: Delivery) -> None:
    """Take a row as the table has it. Most are our own writes: only their store time is news."""
    task = s.parse_task(delivery.subject).task
    is_known = term.book.stored(task, delivery.sequence, delivery.stored_at)
    if not is_known and (stored := decode_row(delivery)) is not None:
        term.book.learn(stored)
    term.book.feed_passed(delivery.sequence)
