"""Following the log without a gap: every event from a moment on, once and in order, whatever becomes of the broker.

The reader remembers one thing, the sequence of the last event it passed on. A consumer is a means that may die at
any time (server restarts, reconnects, a slow reader): then another one starts right after that sequence. A consumer
without acks forgets what it has sent, so its own count, which every delivery carries, must grow by one each time.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

import anyio
import msgspec
import structlog

from broker import consumers, pull
from broker.connection import Connection
from broker.errors import STREAM_NOT_FOUND, ApiRefused, ConsumerGone, Unanswered
from broker.eventlog import StoredEvent
from broker.pull import Delivery, Pull
from schemas import subjects as s
from schemas.event import KINDS, decode_event

log = structlog.get_logger()

READ_AHEAD = 200
"""Events asked for at once. Times the largest event this stays below what the client library holds for a reader."""
FILTERS_MAX = 200
"""Subjects in one consumer's filter: its making slows with their square (500: 75 ms, 2,000: 1 s)."""
RETRY_S = 0.25
RENEW_S = 30.0
"""A reader that hears nothing for so long makes its consumer anew: a silent one is not trusted for ever."""
NOW = "now"
OUTCOMES = "finished"
"""Short for the four kinds `finished.<outcome>`."""

Start = datetime | int | str
"""Where to begin: a moment (store time), after a sequence (0: everything), or NOW."""

Wanted = Callable[[s.EventSubject], bool]


class Follower:
    """An open reader of the log; make it with `following`. One task at a time may use it."""

    def __init__(self, connection: Connection, start: Start, tasks: Iterable[str], kinds: Iterable[str]) -> None:
        self.after = start if isinstance(start, int) else 0
        """The sequence of the last event that was passed on or passed over."""
        self._connection = connection
        self._policy = _policy(start)
        self._tasks, self._kinds = frozenset(tasks), expand(kinds)
        self._filters = filters(self._tasks, self._kinds)
        self._stored_left = 0
        self._expected = 1
        self._quiet_since = 0.0
        self._ended_before_us = False
        self._stale = True
        self._reader: Pull | None = None
        self._opened = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<Follower after {self.after}, {self._stored_left} stored ones to come>"

    @property
    def is_caught_up(self) -> bool:
        """Whether everything has been passed on that was stored when the following began."""
        return self._stored_left == 0

    async def next(self, *, wanted: Wanted = lambda _subject: True) -> StoredEvent | None:
        """The next event; None when there was none for about two seconds. It waits for a broker that is away.

        Events whose subject is not `wanted` are passed over before they are decoded. Raises ApiRefused.
        """
        try:
            if self._stale:
                await self._open_again()
            assert self._reader is not None
            delivery = await self._reader.next()
        except (ConsumerGone, Unanswered) as error:
            log.debug("the log's reader is made anew", problem=str(error))
            self._stale = True
            await anyio.sleep(RETRY_S)
            return None
        if self._stale:  # reconnected meanwhile: what the old consumer sent since may be lost
            return None
        if delivery is None:
            # Where something stored should have come, the server is asked what there is: it may be too old by now.
            self._stale = self._stored_left > 0 or anyio.current_time() - self._quiet_since > RENEW_S
            return None
        return self._take(delivery, wanted)

    async def stored(self) -> AsyncIterator[StoredEvent]:
        """What was stored when the following began; ends after it."""
        while not self.is_caught_up:
            if (found := await self.next()) is not None:
                yield found

    async def events(self) -> AsyncIterator[StoredEvent]:
        """What is stored and what is to come, for ever."""
        while True:
            if (found := await self.next()) is not None:
                yield found

    def _take(self, delivery: Delivery, wanted: Wanted) -> StoredEvent | None:
        if _consumer_sequence(delivery) != self._expected:
            log.debug("the log's reader lost messages, going back for them", after=self.after)
            self._stale = True
            return None
        self._expected += 1
        self._quiet_since = anyio.current_time()
        self._ended_before_us = False
        self._stored_left = min(max(0, self._stored_left - 1), delivery.pending)
        self.after = delivery.sequence
        try:
            subject = s.parse_event(delivery.subject)
            if not self._is_asked_for(subject) or not wanted(subject):
                return None
            event = decode_event(delivery.data)
        except (msgspec.MsgspecError, ValueError) as error:
            log.warning("an event can't be read, passing it over", subject=delivery.subject, problem=str(error))
            return None
        return None if event is None else StoredEvent(delivery.sequence, event, delivery.stored_at)

    def _is_asked_for(self, subject: s.EventSubject) -> bool:
        """The consumer's filter is coarser where many tasks are asked for."""
        return (not self._tasks or subject.task in self._tasks) and (not self._kinds or subject.kind in self._kinds)

    def _renew(self) -> None:
        self._stale = True
        if self._reader is not None:
            self._reader.wake()

    async def open(self) -> None:
        """Begin. Raises ApiRefused, Unanswered."""
        info = await self._make(self._policy)
        self.after = int(info["delivered"]["stream_seq"])
        self._stored_left = int(info["num_pending"])

    async def _open_again(self) -> None:
        """Raises Unanswered, ApiRefused."""
        await self.close()
        if not self._connection.is_connected:
            raise Unanswered("the broker is away")
        try:
            await self._notice_another_log()
            info = await self._make(_policy(self.after))
        except ApiRefused as error:
            if error.code != STREAM_NOT_FOUND:
                raise
            raise Unanswered(str(error)) from error  # a server that has just started, or whoever made it anew
        self._stored_left = min(self._stored_left, int(info["num_pending"]))

    async def _notice_another_log(self) -> None:
        """Where the log ends before what was read from it, it was made anew or lost its end: go on from its end.

        Believed at the second look only: a replica that lags shows an earlier end too.
        """
        async with self._consumer(_policy(NOW)) as (_, info):
            end = int(info["delivered"]["stream_seq"])
        if end >= self.after:
            self._ended_before_us = False
        elif self._ended_before_us:
            log.warning("the log ends before what was read from it; going on from its end", end=end, read=self.after)
            self.after = end
        else:
            self._ended_before_us = True

    async def _make(self, policy: dict[str, Any]) -> dict[str, Any]:
        self._opened.callback(self._connection.on_reconnect(self._renew))
        name, info = await self._opened.enter_async_context(self._consumer(policy))
        self._reader = await self._opened.enter_async_context(
            pull.reading(self._connection, s.EVENTS_STREAM, name, batch=READ_AHEAD)
        )
        self._expected, self._stale, self._quiet_since = 1, False, anyio.current_time()
        return info

    def _consumer(self, policy: dict[str, Any]) -> AbstractAsyncContextManager[tuple[str, dict[str, Any]]]:
        return consumers.short_lived(
            self._connection, s.EVENTS_STREAM, self._filters, kind="follow", is_large=True, **policy
        )

    async def close(self) -> None:
        await self._opened.aclose()
        self._reader = None


@asynccontextmanager
async def following(
    connection: Connection, start: Start = NOW, *, tasks: Iterable[str] = (), kinds: Iterable[str] = ()
) -> AsyncIterator[Follower]:
    """Follow the log for the length of the block: nothing that is stored from here on is missed.

    `tasks`, `kinds`: only events of these; none of them: all. Raises ApiRefused, Unanswered.
    """
    follower = Follower(connection, start, tasks, kinds)
    try:
        await follower.open()
        yield follower
    finally:
        await follower.close()


def expand(kinds: Iterable[str]) -> frozenset[str]:
    """Kinds with OUTCOMES written out."""
    found: set[str] = set()
    for kind in kinds:
        found |= {each for each in KINDS if each.startswith(f"{OUTCOMES}.")} if kind == OUTCOMES else {kind}
    return frozenset(found)


def filters(tasks: frozenset[str], kinds: frozenset[str]) -> tuple[str, ...]:
    """The fewest subjects that hold what is asked for; more where that would be too many for one consumer."""
    if not tasks and not kinds:
        return (s.EVENTS_ALL,)
    some_tasks = sorted(tasks) if len(tasks) <= FILTERS_MAX else []
    if not kinds:
        return tuple(s.task_events(task) for task in some_tasks) or (s.EVENTS_ALL,)
    if kinds == expand((OUTCOMES,)):
        return tuple(s.outcome_of(task) for task in some_tasks) or (s.OUTCOMES_ALL,)
    if not some_tasks and expand((OUTCOMES,)) <= kinds:
        return (s.OUTCOMES_ALL, *(s.events_of("*", kind) for kind in sorted(kinds - expand((OUTCOMES,)))))
    if len(some_tasks or "*") * len(kinds) > FILTERS_MAX:
        return filters(tasks, frozenset()) if some_tasks else (s.EVENTS_ALL,)
    return tuple(s.events_of(task, kind) for task in some_tasks or ["*"] for kind in sorted(kinds))


def _policy(start: Start) -> dict[str, Any]:
    if isinstance(start, datetime):
        return {"deliver_policy": "by_start_time", "opt_start_time": start.isoformat()}
    if isinstance(start, int):
        return {"deliver_policy": "by_start_sequence", "opt_start_seq": start + 1}
    return {"deliver_policy": "new"}


def _consumer_sequence(delivery: Delivery) -> int:
    """The consumer's own count, from the ack subject (see `parse_delivery`)."""
    tokens = delivery.reply.split(".")
    return int(tokens[8] if len(tokens) >= 11 else tokens[6])
