"""The outcomes in the log: counted without reading them, and read from the end backwards."""

from collections import deque
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import structlog

from broker import consumers, pull
from broker.connection import Connection
from broker.eventlog import StoredEvent
from schemas import subjects as s
from schemas.event import Finished, decode_event
from schemas.lifecycle import Outcome

log = structlog.get_logger()

WINDOW = 1_000
"""Sequences looked at first, counted from the log's end; each further look goes back WIDER times as far."""
WIDER = 4
WINDOW_MAX = 256_000
READ_MAX = 200_000
"""Outcomes read in all: about ten seconds' worth."""
READ_AHEAD = 500
NEAR = 1.1
"""So many times what was asked for is near enough: to read those costs less than to have them counted once more."""
STEPS_MAX = 12
CLOCKS_APART = timedelta(minutes=1)
"""An event tells its writer's time, the log goes by the broker's."""


class Found(NamedTuple):
    events: list[StoredEvent]
    """Oldest first."""
    is_whole: bool
    """False where READ_MAX outcomes were looked at and older ones were not."""


async def latest_outcomes(
    connection: Connection,
    limit: int,
    *,
    outcomes: Collection[Outcome] = tuple(Outcome),
    since: datetime | None = None,
    matches: Callable[[Finished], bool] = lambda event: True,
) -> Found:
    """The last `limit` outcomes of all tasks that match; none that ended before `since` is looked at.

    Raises ApiRefused, Unanswered, ConsumerGone.
    """
    filters = _subjects(outcomes)
    floor = 1
    if since is not None:
        async with _consumer(connection, filters, **_from(since - CLOCKS_APART)) as (_, info):
            floor = int(info["delivered"]["stream_seq"]) + 1
    async with _consumer(connection, filters, deliver_policy="new") as (_, info):
        before = int(info["delivered"]["stream_seq"]) + 1
    found: list[StoredEvent] = []
    window, newer, read = WINDOW, 0, 0
    while before > floor and len(found) < limit and read < READ_MAX:
        start = max(floor, before - window)
        async with _consumer(connection, filters, deliver_policy="by_start_sequence", opt_start_seq=start) as (name, i):
            pending = int(i["num_pending"])
            some = await _read(connection, name, pending - newer, before, limit - len(found), matches)
        found = some + found
        read, newer, before = read + pending - newer, pending, start
        window = min(WINDOW_MAX, WIDER * window)
    return Found(found, is_whole=before <= floor or len(found) >= limit)


async def count_since(connection: Connection, outcome: Outcome, since: datetime) -> int:
    """How many tasks ended so and were stored since then. The broker counts; nothing is read."""
    async with _consumer(connection, _subjects((outcome,)), **_from(since)) as (_, info):
        return int(info["num_pending"])


async def start_of_latest(connection: Connection, count: int) -> int:
    """The sequence after which the latest `count` outcomes are stored, and perhaps some more; 0: those are all.

    The broker counts; nothing is read. Raises ApiRefused, Unanswered.
    """
    low, more = 0, await _count_after(connection, 0)
    if more <= count:
        return 0
    async with _consumer(connection, (s.OUTCOMES_ALL,), deliver_policy="new") as (_, info):
        high, fewer = int(info["delivered"]["stream_seq"]), 0
    for _ in range(STEPS_MAX):
        if more <= count * NEAR or high - low <= WINDOW:
            break
        # They lie about evenly; a little before where they should begin, so that the next step ends it.
        share = (more - count * (1 + NEAR) / 2) / (more - fewer)
        middle = min(high - 1, max(low + 1, low + int((high - low) * share)))
        if (found := await _count_after(connection, middle)) >= count:
            low, more = middle, found
        else:
            high, fewer = middle, found
    return low


async def _count_after(connection: Connection, sequence: int) -> int:
    start = {"deliver_policy": "by_start_sequence", "opt_start_seq": sequence + 1}
    async with _consumer(connection, (s.OUTCOMES_ALL,), **start) as (_, info):
        return int(info["num_pending"])


async def _read(
    connection: Connection, consumer: str, count: int, before: int, keep: int, matches: Callable[[Finished], bool]
) -> list[StoredEvent]:
    """The last `keep` that match of the next `count` outcomes, those from sequence `before` on left out."""
    kept: deque[StoredEvent] = deque(maxlen=keep)
    if count <= 0:
        return []
    async with pull.reading(connection, s.EVENTS_STREAM, consumer, batch=min(READ_AHEAD, count)) as reader:
        while count > 0 and (delivery := await reader.next(no_wait=True)) is not None:
            if delivery.sequence >= before:
                break
            count -= 1
            try:
                event = decode_event(delivery.data)
            except msgspec.MsgspecError as error:
                log.debug("an outcome can't be read", sequence=delivery.sequence, problem=str(error))
                continue
            if isinstance(event, Finished) and matches(event):
                kept.append(StoredEvent(delivery.sequence, event, delivery.stored_at))
    return list(kept)


def _subjects(outcomes: Collection[Outcome]) -> tuple[str, ...]:
    """One filter for all: several cost the broker more."""
    if len(outcomes) == len(Outcome):
        return (s.OUTCOMES_ALL,)
    return tuple(s.outcomes_all(outcome) for outcome in outcomes)


def _from(moment: datetime) -> dict[str, str]:
    return {"deliver_policy": "by_start_time", "opt_start_time": moment.isoformat()}


def _consumer(
    connection: Connection, filters: tuple[str, ...], **how: Any
) -> AbstractAsyncContextManager[tuple[str, dict[str, Any]]]:
    return consumers.short_lived(connection, s.EVENTS_STREAM, filters, is_large=True, **how)
