"""The cluster at a glance: counts of live tasks from the table, of ended ones from the log."""

from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel

from broker.outcomes import count_since
from coordinator import views
from coordinator.term import Term
from coordinator.views import Holdings
from schemas import subjects as s
from schemas.control import RECENT_S, StatsReply, StoreUse
from schemas.lifecycle import LIVE, Desired, Outcome, State
from schemas.oddity import FALSE, LATE, UNREADABLE

KEEP_S = 1.0
"""An answer serves everyone who asks within so long: it takes a look at every row at a node, and four at the log."""
STREAMS = (s.REQUESTS_STREAM, s.TASKS_STREAM, s.EVENTS_STREAM, s.BUCKET_STREAM)
IGNORED = LATE | FALSE
CHUNK = 5_000
"""Rows counted in one go, before others may run: some 10 ms."""


class Stats:
    """Counts for one term."""

    def __init__(self, term: Term, holdings: Holdings) -> None:
        self._term = term
        self._holdings = holdings
        self._counting = anyio.Lock()
        self._reply: StatsReply | None = None
        self._counted_at = 0.0

    async def reply(self) -> StatsReply:
        """Raises Unanswered, ApiRefused."""
        async with self._counting:
            if self._reply is None or anyio.current_time() - self._counted_at > KEEP_S:
                self._reply = await self._count()
                self._counted_at = anyio.current_time()
            return self._reply

    async def _count(self) -> StatsReply:
        term = self._term
        active = await self._active()
        states = {str(state): self._count_of(state) for state in (*LIVE, State.ENDING)}
        active = min(active, states[State.ASSIGNED])  # some may have ended while they were counted
        states[State.ASSIGNED] -= active
        states[State.ACTIVE] += active
        paused = sum(term.book.count(state, Desired.PAUSE) for state in LIVE)
        oldest_us = term.book.oldest_queued_us()
        heard = views.nodes(term, with_tasks=False)
        online = [view.heartbeat for view in heard if view.online]
        since = term.now() - timedelta(seconds=RECENT_S)
        recent = {str(outcome): await count_since(term.connection, outcome, since) for outcome in Outcome}
        infos = {stream: await term.connection.api(f"STREAM.INFO.{stream}") for stream in STREAMS}
        return StatsReply(
            leader=term.name,
            epoch=term.epoch,
            states=states,
            paused=paused,
            inbox=int(infos[s.REQUESTS_STREAM]["state"]["messages"]),
            oldest_queued_s=None if oldest_us is None else round(max(0.0, term.now().timestamp() - oldest_us / 1e6), 1),
            recent=recent,
            outcomes={str(outcome): term.outcomes[outcome] for outcome in Outcome},
            nodes=len(heard),
            nodes_online=len(online),
            slots=sum(beat.slots for beat in online),
            running=sum(beat.running for beat in online),
            bytes_per_s=sum(beat.bytes_per_s for beat in online),
            ignored_facts=sum(count for kind, count in term.oddities.items() if kind in IGNORED),
            undecodable=sum(term.oddities[kind] for kind in UNREADABLE),
            oddities={str(kind): count for kind, count in sorted(term.oddities.items()) if count},
            cooling=term.handover.cooling(),
            stores=tuple(_store(term, stream, info) for stream, info in infos.items()),
        )

    def _count_of(self, state: State) -> int:
        return sum(self._term.book.count(state, desired) for desired in Desired)

    async def _active(self) -> int:
        """How many of the assigned tasks run, as their nodes say."""
        book, active = self._term.book, 0
        for at, task in enumerate(book.at_nodes()):
            if at % CHUNK == CHUNK - 1:
                await anyio.lowlevel.checkpoint()
            if (top := book.top(task)) is not None and top.row.state is State.ASSIGNED:
                active += views.state_of(top, self._holdings.of(top)) is State.ACTIVE
        return active


def _store(term: Term, stream: str, info: dict[str, Any]) -> StoreUse:
    refused_at = term.refused_at.get(stream)
    return StoreUse(
        stream=stream,
        used_bytes=int(info["state"]["bytes"]),
        max_bytes=int(info["config"]["max_bytes"]),
        refused_ago_s=None if refused_at is None else round(anyio.current_time() - refused_at, 1),
    )
