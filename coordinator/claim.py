"""From the inbox to the table: every request becomes a row, or a rejection, before it is acked (rule 4)."""

from datetime import UTC, datetime

import anyio
import structlog

from broker import pull
from broker.pull import Delivery
from coordinator import moves
from coordinator.intake import ACK_WAIT_S, BATCH, take_in
from coordinator.term import Term
from schemas import subjects as s
from schemas.errors import RequestInvalid
from schemas.event import Queued
from schemas.ids import is_owner, rejected_task_id, source_of, task_id
from schemas.lifecycle import State
from schemas.redact import redact_uri
from schemas.request import decode_request, producer_id
from schemas.task import TaskRow

log = structlog.get_logger()

FULL_SHARE = 0.8
"""Claiming stops at this share of TASKS: a full table could not even move a row."""
HEADROOM_EVERY_S = 5.0
PREFIX = "claim-"


async def open_consumer(term: Term) -> str:
    """Delete every earlier leader's consumer and create this term's: un-acked requests come back at once."""
    name = f"{PREFIX}{term.tag}"
    listed = await term.connection.api(f"CONSUMER.NAMES.{s.REQUESTS_STREAM}")
    for old in listed.get("consumers") or ():
        if old.startswith(PREFIX) and old != name:
            await pull.delete_consumer(term.connection, s.REQUESTS_STREAM, old)
    await pull.create_consumer(
        term.connection,
        s.REQUESTS_STREAM,
        name,
        (),
        durable_name=name,
        ack_policy="explicit",
        ack_wait=ACK_WAIT_S * pull.NS,
        max_ack_pending=4 * BATCH,
    )
    return name


async def claim_requests(term: Term) -> None:
    """Claim for the length of the term, while the table has room."""
    checked_at = -HEADROOM_EVERY_S

    async def until_headroom(term: Term) -> None:
        nonlocal checked_at
        if anyio.current_time() - checked_at < HEADROOM_EVERY_S:
            return
        while not await has_headroom(term):
            await anyio.sleep(HEADROOM_EVERY_S)
        checked_at = anyio.current_time()

    await take_in(term, s.REQUESTS_STREAM, open_consumer, claim, ready=until_headroom)


async def has_headroom(term: Term) -> bool:
    """Whether the table is far enough from full to take more. Raises Unanswered."""
    info = await term.connection.api(f"STREAM.INFO.{s.TASKS_STREAM}")
    limit, used = info["config"]["max_bytes"], info["state"]["bytes"]
    if limit <= 0 or used < FULL_SHARE * limit:
        return True
    log.warning("the table is nearly full, claiming waits", used_bytes=used, limit_bytes=limit)
    return False


def first_row(delivery: Delivery, salt: int = 0) -> TaskRow:
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
        task=task_id(owner, source, salt), owner=owner, source=source, request=request, submitted=submitted
    )


async def claim(term: Term, delivery: Delivery) -> None:
    """Make the row, read the outcome, and only then return so that the request may be acked."""
    salt = 0
    while not await admit(term, first_row(delivery, salt)):
        log.warning("two requests have one id, salting", subject=delivery.subject)
        salt += 1


async def admit(term: Term, row: TaskRow) -> bool:
    """Create a task unless it stands or has ended already. False: its hex is another request's."""
    async with term.only(row.task):
        stored = await term.cas(row, 0)
        if stored is None:
            standing = term.book.top(row.task)
            return standing is None or _same(standing.row.owner, standing.row.source, row)
        ended = await term.events.outcome(row.task)
        if ended is not None:
            await term.clear(row.task)
            return _same(ended.event.owner, getattr(ended.event, "source", ""), row)
        term.book.vouched.add(stored.sequence)
        if row.state is State.ENDING:
            log.info("request rejected", owner=row.owner, reason=row.reason)
            await term.finish(row.task)
            return True
        log.info("request claimed", owner=row.owner, source=row.source)
        await term.events.emit(_queued(term, row))
        return True


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
