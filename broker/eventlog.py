"""The log: events written under `downloads.write.events.…`, stored once, republished to everyone."""

from collections.abc import Sequence
from typing import NamedTuple

import anyio
import msgspec
import structlog

from broker import checked, consumers, pull
from broker.connection import Connection
from broker.errors import ApiRefused, BrokerError, SequenceConflict, StoreFull, Unanswered, Unreadable
from broker.exchange import Ask
from schemas import codec
from schemas import subjects as s
from schemas.event import AnyEvent, Event, Finished, decode_event

log = structlog.get_logger()

RETRY_S = 0.25
FULL_RETRY_S = 2.0
FINISH_TRIES = 2
"""… by one who has others waiting behind: what is not answered by then is tried again with the next look."""
HISTORY_BATCH = 500
"""Events of one task that are asked for at once: few have more."""
NEVER = str(1 << 53)
"""A sequence that no stream reaches."""


class StoredEvent(NamedTuple):
    sequence: int
    event: AnyEvent
    stored_at: float


class EventLog:
    """All writes of EVENTS, and its checked reads."""

    def __init__(self, connection: Connection, writer: str) -> None:
        self._connection = connection
        self._writer = writer

    async def emit(self, event: Event) -> None:
        """Write an event that nobody's correctness needs: no acknowledgement is awaited."""
        try:
            await self._connection.publish(self._subject(event), codec.encode(event))
        except (Unanswered, ApiRefused) as error:
            log.debug("event not sent", task=event.task, event_type=event.kind, problem=str(error))

    async def report(self, event: Event) -> None:
        """Write a fact and return when it is stored, however long the broker is away or full.

        A repeat of an unanswered try is harmless: facts carry their attempt.
        """
        while True:
            try:
                await self._connection.store(self._subject(event), codec.encode(event))
            except (Unanswered, StoreFull) as error:
                await self._wait(event, error)
            else:
                return

    async def finish(self, event: Finished) -> bool:
        """Write an outcome where the task has none (rule 5). False: one is stored, perhaps by an unanswered try.

        Returns when it is stored, however long the broker is away or full.
        """
        (was_first,) = await self.finish_all((event,))
        return was_first

    async def finish_now(self, event: Finished) -> bool:
        """`finish`, by one who can come back to it. Raises StoreFull at once, Unanswered after FINISH_TRIES."""
        for tries in range(1, FINISH_TRIES + 1):
            try:
                await self._connection.store(*self._outcome_ask(event))
            except SequenceConflict:
                return False
            except Unanswered:
                if tries == FINISH_TRIES:
                    raise
                await anyio.sleep(RETRY_S)
            else:
                return True
        raise AssertionError("unreachable")

    async def finish_all(self, events: Sequence[Finished]) -> list[bool]:
        """`finish` for many tasks at once: for each, in order, what it would return."""
        first: dict[int, bool] = {}
        while unsure := [index for index in range(len(events)) if index not in first]:
            asks = [self._outcome_ask(events[index]) for index in unsure]
            for index, fate in zip(unsure, await self._connection.store_all(asks), strict=True):
                if isinstance(fate, int | SequenceConflict):
                    first[index] = isinstance(fate, int)
                elif isinstance(fate, Unanswered | StoreFull):
                    trouble = fate
                else:
                    raise fate
            if len(first) < len(events):
                await self._wait(events[unsure[-1]], trouble)
        return [first[index] for index in range(len(events))]

    def _outcome_ask(self, event: Finished) -> Ask:
        """Write it on condition that the task has no outcome yet."""
        condition = {s.EXPECTED_SEQUENCE: "0", s.EXPECTED_SUBJECT: s.outcome_of(event.task)}
        return Ask(self._subject(event), codec.encode(event), condition)

    async def _wait(self, event: Event, error: BrokerError) -> None:
        is_full = isinstance(error, StoreFull)
        if is_full:
            log.warning("the log is full, trying again", task=event.task, event_type=event.kind, problem=str(error))
        await anyio.sleep(FULL_RETRY_S if is_full else RETRY_S)

    async def outcome(self, task: str) -> StoredEvent | None:
        """How a task ended, read through the stream's leader; None while it lives. Waits out an election."""
        found = await checked.get_patiently(self._connection, s.EVENTS_STREAM, _outcome_query(task))
        ended = _decoded_outcome(task, found)
        if isinstance(ended, Unreadable):
            raise ended
        return ended

    async def outcomes(self, tasks: Sequence[str]) -> list[StoredEvent | BrokerError | None]:
        """`outcome` of many tasks at once, one try: for each, in order, what it would return or raise."""
        queries = [_outcome_query(task) for task in tasks]
        found = await checked.get_all(self._connection, s.EVENTS_STREAM, queries)
        return [
            one if isinstance(one, BrokerError) else _decoded_outcome(task, one)
            for task, one in zip(tasks, found, strict=True)
        ]

    async def is_own_completion(self, task: str) -> bool:
        """Whether the stored outcome is this node's own completion."""
        return await self._stands(task, s.own_completion(task, self._writer))

    async def has_ended(self, task: str) -> bool:
        """Whether any outcome is stored, whoever wrote it."""
        return await self._stands(task, s.outcome_of(task))

    async def _stands(self, task: str, pattern: str) -> bool:
        """Whether an event of the task is stored under a subject.

        A node may not read the log, and a replica could lag. So it makes a write that can't succeed: the stream's
        leader refuses it and names the sequence that stands there, 0 for none.
        """
        headers = {s.EXPECTED_SEQUENCE: NEVER, s.EXPECTED_SUBJECT: pattern}
        while True:
            try:
                await self._connection.store(s.event_write(task, "finished.completed", self._writer), b"{}", headers)
            except SequenceConflict as error:
                return not str(error).endswith("sequence: 0")
            except (Unanswered, StoreFull):
                await anyio.sleep(RETRY_S)

    def _subject(self, event: Event) -> str:
        return s.event_write(event.task, event.kind, self._writer)


def _outcome_query(task: str) -> checked.Query:
    return {"last_by_subj": s.outcome_of(task)}


def _decoded_outcome(task: str, found: checked.StoredMessage | None) -> StoredEvent | Unreadable | None:
    if found is None:
        return None
    try:
        event = decode_event(found.data)
    except msgspec.MsgspecError as error:
        return Unreadable(f"outcome {found.sequence} of {task}: {error}")
    if event is None:
        return Unreadable(f"outcome {found.sequence} of {task}: of a type this version does not know")
    return StoredEvent(found.sequence, event, found.stored_at)


async def history(connection: Connection, task: str) -> list[StoredEvent]:
    """All events of one task, oldest first. Raises ApiRefused, Unanswered, ConsumerGone."""
    events: list[StoredEvent] = []
    made = consumers.short_lived(connection, s.EVENTS_STREAM, (s.task_events(task),), deliver_policy="all")
    async with made as (name, info), pull.reading(connection, s.EVENTS_STREAM, name, batch=HISTORY_BATCH) as reader:
        left = int(info["num_pending"])
        while left and (delivery := await reader.next(no_wait=True)) is not None:
            left -= 1
            if (event := decode_event(delivery.data)) is not None:
                events.append(StoredEvent(delivery.sequence, event, delivery.stored_at))
    return events
