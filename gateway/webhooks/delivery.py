"""The events of one webhook: read from the log, sent until they are taken, remembered how far that has come.

The events of one task go one after another; those of different tasks beside each other, in a few lanes. How far all of
them are is stored after them, so that whoever goes on may send some twice, and leaves none out.
"""

import random
from datetime import UTC, datetime
from typing import NoReturn

import anyio
import structlog
from anyio import CancelScope
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from msgspec.structs import replace

from broker import keys
from broker.connection import Connection
from broker.errors import BrokerError
from broker.follow import expand
from gateway.eventfilter import EventFilter, TraitBook
from gateway.hub import Hub, Kept
from gateway.logreader import LogReader, reading_log
from gateway.webhooks.book import state_of
from gateway.webhooks.positions import Positions
from gateway.webhooks.posting import Answered, Poster
from schemas import codec
from schemas import subjects as s
from schemas.webhook import Webhook, WebhookState

log = structlog.get_logger()

LANES = 4
LANE_AHEAD = 16
"""Events that wait in a lane: with them 200 webhooks hold some thousands."""
BATCH = 100
SAVE_EVERY_S = 1.0
SAVE_EVERY = 1000
"""Events that were not wanted, after which it is stored how far that has come all the same."""
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 60.0
REFUSED_FOR_S = 300.0
"""An event that is answered by an error is sent again for so long, then passed over: others wait behind it."""
AWAY_FOR_S = 24 * 3600.0
"""Whoever is away for so long is not sent to any more, until the webhook is enabled again."""
AWAY_HERE_S = 3600.0
"""… of which this process itself has tried for so long: the cluster may have been away, and not the receiver."""
KNOWN_EVERY_S = 0.5


def is_gone(failing_since: datetime | None, now: datetime, tried_s: float) -> bool:
    """Whether a receiver has been away for too long; `tried_s`: how long this process has tried itself. Pure."""
    if failing_since is None or tried_s < AWAY_HERE_S:
        return False
    return (now - failing_since).total_seconds() > AWAY_FOR_S


class Delivery:
    """Sends the events of one webhook, until cancelled."""

    def __init__(self, connection: Connection, hub: Hub, book: TraitBook, poster: Poster, webhook: Webhook) -> None:
        self._connection, self._hub, self._traits = connection, hub, book
        self._poster = poster
        self._webhook = webhook
        self._wanted = EventFilter(
            kinds=expand(webhook.types),
            owners=None if webhook.everyone else frozenset((webhook.owner,)),
            tags=frozenset(webhook.tags),
            labels=webhook.labels,
        )
        self._state = WebhookState(position=webhook.after)
        self._saved = self._state
        self._positions = Positions(webhook.after)
        self._failed_since: float | None = None
        self._why_disabled = ""
        self._sending = CancelScope()

    def __repr__(self) -> str:
        return f"<Delivery to {self._webhook.id}, {self._positions!r}>"

    async def run(self) -> str:
        """Why nothing more is to be sent. Raises BrokerError where it can't be known how far it is."""
        found = await keys.read(self._connection, s.webhook_state_key(self._webhook.id))
        if found is not None:
            self._saved = self._state = state_of(self._webhook, found)
            self._positions = Positions(self._state.position)
        try:
            with self._sending:
                await self._deliver()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                await self._save(at_once=True)
        return self._why_disabled

    async def _deliver(self) -> None:
        while self._wanted.needs_book and not self._traits.is_ready:
            await anyio.sleep(KNOWN_EVERY_S)  # nothing is left out because its task is not known yet
        async with (
            reading_log(self._hub, self._connection, self._state.position, kinds=self._wanted.read_kinds) as reader,
            anyio.create_task_group() as tasks,
        ):
            lanes: list[MemoryObjectSendStream[Kept]] = []
            for _ in range(LANES):
                send, receive = anyio.create_memory_object_stream[Kept](LANE_AHEAD)
                lanes.append(send)
                tasks.start_soon(self._run_lane, receive)
            tasks.start_soon(self._save_now_and_then)
            while True:
                await self._read_some(reader, lanes)

    async def _read_some(self, reader: LogReader, lanes: list[MemoryObjectSendStream[Kept]]) -> None:
        for kept in await reader.next(BATCH):
            if await self._wanted.wants(kept.event, self._traits):
                self._positions.begin(kept.sequence)
                await lanes[hash(kept.event.task) % LANES].send(kept)
        for gap in reader.gaps():
            log.warning("events could not be sent", webhook=self._webhook.id, after=gap.after, reason=gap.reason)
        self._positions.read_to(reader.after)

    async def _run_lane(self, events: MemoryObjectReceiveStream[Kept]) -> None:
        async for kept in events:
            await self._send(kept)
            self._positions.done(kept.sequence)

    async def _send(self, kept: Kept) -> None:
        """Until it is taken, or given up, or nothing more is to be sent at all."""
        began, pause_s = anyio.current_time(), RETRY_FIRST_S
        while True:
            answered = await self._poster.post(self._webhook, kept)
            self._note(answered)
            if not answered.problem:
                return
            now = anyio.current_time()
            if answered.is_unwanted:
                await self._end(answered.problem)
            tried_s = now - (now if self._failed_since is None else self._failed_since)
            if answered.is_away and is_gone(self._state.failing_since, datetime.now(UTC), tried_s):
                await self._end(f"away for {AWAY_FOR_S / 3600:g} hours: {answered.problem}")
            if not answered.is_away and now - began > REFUSED_FOR_S:
                log.warning("an event is passed over", webhook=self._webhook.id, problem=answered.problem)
                self._state = replace(self._state, passed_over=self._state.passed_over + 1)
                return
            await anyio.sleep(max(answered.retry_after_s, pause_s * random.uniform(0.5, 1)))  # noqa: S311 - no secret
            pause_s = min(2 * pause_s, RETRY_MAX_S)

    async def _end(self, why: str) -> NoReturn:
        self._why_disabled = why
        self._sending.cancel()
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    def _note(self, answered: Answered) -> None:
        moment = datetime.now(UTC)
        if answered.problem:
            if self._failed_since is None:
                self._failed_since = anyio.current_time()
                log.warning("a webhook fails", webhook=self._webhook.id, problem=answered.problem)
            since = self._state.failing_since or moment
            self._state = replace(self._state, failing_since=since, problem=answered.problem)
            return
        self._failed_since = None
        delivered = self._state.delivered + 1
        self._state = replace(self._state, delivered=delivered, last_delivered=moment, failing_since=None, problem="")

    async def _save_now_and_then(self) -> None:
        while True:
            await anyio.sleep(SAVE_EVERY_S)
            await self._save()

    async def _save(self, *, at_once: bool = False) -> None:
        """Store how far it is, where that is news."""
        state = replace(self._state, position=self._positions.safe)
        moved = state.position - self._saved.position
        if replace(state, position=self._saved.position) == self._saved and moved < (1 if at_once else SAVE_EVERY):
            return
        try:
            await keys.write(
                self._connection, s.webhook_state_key(self._webhook.id), codec.encode(state), expected=None
            )
        except BrokerError as error:
            log.debug("it is not stored how far a webhook is, trying again", problem=str(error))
        else:
            self._saved = state
