"""From the inbox to the table: every request becomes a row, or a rejection, before it is acked (rule 4)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import anyio
import structlog

from broker import consumers
from broker.errors import BrokerError, Unanswered
from broker.eventlog import StoredEvent
from broker.pull import Delivery
from coordinator import moves
from coordinator.headroom import Headroom
from coordinator.intake import ACK_WAIT_S, BATCH, take_in
from coordinator.term import Term
from schemas import subjects as s
from schemas.checking import decode_request, producer_id
from schemas.errors import RequestInvalid
from schemas.event import QUEUE_LIMIT, Queued, Rejected
from schemas.ids import is_owner, rejected_task_id, source_of, task_id
from schemas.lifecycle import State
from schemas.oddity import Oddity
from schemas.redact import redact_uri
from schemas.task import StoredRow, TaskRow

log = structlog.get_logger()

PREFIX = "claim-"
SEQUENCES_TOLD_APART = 64
"""Nanoseconds. nats-server takes about 400 for a message, so that adding fewer turns no two of them around; where its
clock is too coarse to tell them apart, the sequence does."""


async def open_consumer(term: Term) -> str:
    """Delete every earlier leader's consumer and create this term's: un-acked requests come back at once."""
    name = f"{PREFIX}{term.tag}"
    listed = await term.connection.api(f"CONSUMER.NAMES.{s.REQUESTS_STREAM}")
    for old in listed.get("consumers") or ():
        if old.startswith(PREFIX) and old != name:
            await consumers.delete(term.connection, s.REQUESTS_STREAM, old)
    await consumers.create(
        term.connection,
        s.REQUESTS_STREAM,
        name,
        (),
        durable_name=name,
        ack_policy="explicit",
        ack_wait=ACK_WAIT_S * consumers.NS,
        max_ack_pending=4 * BATCH,
    )
    return name


async def claim_requests(term: Term) -> None:
    """Claim for the length of the term, while the table has room."""
    headroom = Headroom(term)

    async def claim_what_fits(term: Term, deliveries: Sequence[Delivery]) -> list[BrokerError | None]:
        full = [headroom.spend(len(delivery.data)) for delivery in deliveries]
        fitting = [delivery for delivery, refusal in zip(deliveries, full, strict=True) if refusal is None]
        try:
            fates = iter(await claim(term, fitting))
        finally:
            for delivery in fitting:
                headroom.settle(len(delivery.data))
        return [refusal or next(fates) for refusal in full]

    await take_in(term, s.REQUESTS_STREAM, open_consumer, claim_what_fits, ready=headroom.wait)


def first_row(delivery: Delivery, salt: int = 0, *, allow_noop: bool = False) -> TaskRow:
    """The row a request begins with, a rejected one included. Pure."""
    owner = s.owner_of(delivery.subject)
    submitted = datetime.fromtimestamp(delivery.stored_at, UTC)
    body = delivery.data
    message_id = delivery.headers.get(s.MESSAGE_ID)
    source = source_of(producer_id(body), message_id, delivery.sequence, delivery.stored_ns)
    try:
        if not is_owner(owner):
            raise RequestInvalid("", f"{owner!r} is not an owner: use a-z, 0-9, '-' and '_', and not 'admin'")
        request = decode_request(body)
        if request.is_noop and not allow_noop:
            raise RequestInvalid("uris", "noop: is for measuring and is not allowed here (coordinator.allow_noop)")
    except RequestInvalid as error:
        return moves.refused(
            task=rejected_task_id(owner, source, body),
            owner=owner,
            source=source,
            where=error.where,
            reason=str(error),
            submitted=submitted,
        )
    return moves.claimed(
        task=task_id(owner, source, salt),
        owner=owner,
        source=source,
        request=request,
        submitted=submitted,
        order=delivery.stored_ns + delivery.sequence % SEQUENCES_TOLD_APART,
    )


async def claim(term: Term, deliveries: Sequence[Delivery]) -> list[BrokerError | None]:
    """Make the rows, read the outcomes, and only then return: for each request, whether it may be acked."""
    allow_noop = term.settings.allow_noop
    with within_limits(term, [first_row(delivery, allow_noop=allow_noop) for delivery in deliveries]) as rows:
        fates = await _admit_all(term, rows)
    for index, delivery in enumerate(deliveries):
        salt = 0
        while fates[index] is False:
            log.info("this id is that of another request, or of one refused before: salting", subject=delivery.subject)
            salt += 1
            with within_limits(term, [first_row(delivery, salt, allow_noop=allow_noop)]) as rows:
                (fates[index],) = await _admit_all(term, rows)
    return [fate if isinstance(fate, BrokerError) else None for fate in fates]


@contextmanager
def within_limits(term: Term, rows: Sequence[TaskRow]) -> Iterator[list[TaskRow]]:
    """New tasks as they may be created: a refusal each where their owner may have no more of them waiting.

    Until the end of the block the others have their places promised: what is created at once counts together.
    """
    try:
        yield [_within_limit(term, row) for row in rows]
    finally:
        for row in rows:
            term.owners.settle(row.task)


def _within_limit(term: Term, row: TaskRow) -> TaskRow:
    limit = term.policy.owner(row.owner).queued
    if row.state is not State.QUEUED or limit is None or term.owners.admit(row.task, row.owner, limit):
        return row
    return moves.too_many(row, limit)


async def admit(term: Term, row: TaskRow) -> bool:
    """Create a task unless it stands or has ended already. False: its hex is another request's. Raises BrokerError."""
    (fate,) = await _admit_all(term, [row])
    if isinstance(fate, BrokerError):
        raise fate
    return fate


async def _admit_all(term: Term, rows: Sequence[TaskRow]) -> list[bool | BrokerError]:
    """`admit` for many: at once those that nobody works on, each other after whoever does."""
    fates: list[bool | BrokerError] = [True] * len(rows)
    free = {row.task: index for index, row in reversed(tuple(enumerate(rows))) if row.task not in term.locks}
    with term.locks.all_of(free):
        admitted = await _admit_held(term, [rows[index] for index in free.values()])
    for index, fate in zip(free.values(), admitted, strict=True):
        fates[index] = fate
    for index in sorted(set(range(len(rows))) - set(free.values())):
        async with term.only(rows[index].task):
            (fates[index],) = await _admit_held(term, [rows[index]])
    if rejected := [row for row, fate in zip(rows, fates, strict=True) if fate is True and _is_refused(term, row)]:
        async with anyio.create_task_group() as tasks:
            for row in rejected:
                tasks.start_soon(_finish_rejected, term, row)
    return fates


async def _admit_held(term: Term, rows: Sequence[TaskRow]) -> list[bool | BrokerError]:
    """Rule 4 for tasks whose locks are held: create, then read the outcome, always."""
    created = await term.cas_all([(row, 0) for row in rows])
    ended = await term.events.outcomes([row.task for row in rows])
    fates: list[bool | BrokerError] = []
    for row, stored, outcome in zip(rows, created, ended, strict=True):
        try:
            fates.append(await _admitted(term, row, stored, outcome))
        except BrokerError as error:
            fates.append(error)
    return fates


async def _admitted(
    term: Term, row: TaskRow, stored: StoredRow | BrokerError | None, ended: StoredEvent | BrokerError | None
) -> bool:
    """What a create and the outcome read after it come to. Raises BrokerError."""
    if isinstance(stored, BrokerError):
        raise stored
    if stored is None:
        standing = term.book.top(row.task)
        return standing is None or _same(standing.row.owner, standing.row.source, row)
    if isinstance(ended, Unanswered):
        ended = await term.events.outcome(row.task)
    if isinstance(ended, BrokerError):
        raise ended
    if ended is not None:
        await term.clear(row.task)
        return _same(ended.event.owner, getattr(ended.event, "source", ""), row) and not _may_come_again(ended, row)
    term.book.vouched.add(stored.sequence)
    if row.state is not State.ENDING:
        log.debug("request claimed", task=row.task, owner=row.owner, source=row.source)
        await term.events.emit(_queued(term, row))
    return True


async def _finish_rejected(term: Term, row: TaskRow) -> None:
    """Outside the batch's locks: the good ones need not wait. What fails here, the watch comes back to."""
    term.oddities[Oddity.REQUEST_REJECTED] += 1
    log.info("request rejected", task=row.task, owner=row.owner, reason=row.reason)
    try:
        async with term.only(row.task):
            await term.finish(row.task)
    except BrokerError as error:
        log.warning("a rejection waits", task=row.task, problem=str(error))


def _is_refused(term: Term, row: TaskRow) -> bool:
    """Whether a refusal stands; where its task is there already, or has ended, nothing was refused."""
    top = term.book.top(row.task) if row.state is State.ENDING else None
    return top is not None and top.row.state is State.ENDING


def _may_come_again(ended: StoredEvent, row: TaskRow) -> bool:
    """Whether the outcome is that of an earlier request of this id, which was good but one too many at the time."""
    event = ended.event
    was_one_too_many = isinstance(event, Rejected) and event.where == QUEUE_LIMIT and event.submitted != row.submitted
    return was_one_too_many and row.state is not State.ENDING


def _same(owner: str, source: str, row: TaskRow) -> bool:
    return (owner, source) == (row.owner, row.source)


def _queued(term: Term, row: TaskRow) -> Queued:
    assert row.request is not None
    return Queued(
        **term.about(row),
        uris=tuple(redact_uri(uri) for uri in row.request.uris),
        tags=row.request.tags,
        priority=row.request.priority,
        size=row.request.size_bytes,
    )
