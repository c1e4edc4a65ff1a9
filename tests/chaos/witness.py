"""Everything that a cluster tells, written down with the moment: the log without a gap, and what was heard live."""

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio

from broker.connection import connect
from broker.eventlog import StoredEvent
from broker.follow import following
from broker.listen import Heard, listening
from broker.table import MARKER
from schemas import codec
from schemas import subjects as s
from schemas.event import Completed, Finished, Started
from schemas.heartbeat import Heartbeat, Progress
from schemas.lifecycle import State
from schemas.task import TaskRow
from tests.harness.waiting import eventually


class Run(NamedTuple):
    """A task's attempt at a node, as somebody told of it."""

    task: str
    attempt: int
    node: str


class Witness:
    """What was seen. Moments are Unix seconds of this machine, by the broker's stamp or by when it was heard."""

    def __init__(self) -> None:
        self.log: list[StoredEvent] = []
        """Every stored event, in order; none is missing."""
        self.beats: dict[str, list[tuple[float, Heartbeat]]] = defaultdict(list)
        self.progress: list[tuple[float, Progress]] = []
        self.rows: list[tuple[int, TaskRow]] = []
        """Rows as they were republished, with their sequences; those of a broker that died may be missing."""

    def events(self, task: str, kind: str = "") -> list[StoredEvent]:
        return [one for one in self.log if one.event.task == task and one.event.kind.startswith(kind)]

    def outcomes(self, task: str) -> list[StoredEvent]:
        return [one for one in self.log if one.event.task == task and isinstance(one.event, Finished)]

    def outcome(self, task: str) -> Completed:
        """How a task ended, which must be well."""
        event = self.outcomes(task)[0].event
        assert isinstance(event, Completed), event
        return event

    def ended(self) -> set[str]:
        return {one.event.task for one in self.log if isinstance(one.event, Finished)}

    def runs(self) -> set[Run]:
        """All attempts that began or moved bytes, and where."""
        told = {Run(p.task, p.attempt, p.node) for _, p in self.progress if p.phase == "active"}
        begun = {Run(e.event.task, e.event.attempt, e.event.node) for e in self.log if isinstance(e.event, Started)}
        return told | begun

    def last_beat(self, node: str) -> float:
        """When the latest heartbeat of a node was heard; 0 for none."""
        return self.beats[node][-1][0] if self.beats[node] else 0.0

    def bytes_done(self, task: str) -> int:
        """As the latest progress has it."""
        return next((p.bytes_done for _, p in reversed(self.progress) if p.task == task), 0)

    async def sees(self, task: str, kind: str, *, within_s: float = 60.0, attempt: int = 0) -> StoredEvent:
        """Wait for an event of a kind (or its beginning) of a task, of an attempt where one is named."""

        def seen() -> list[StoredEvent]:
            return [one for one in self.events(task, kind) if attempt in (0, one.event.attempt)]

        return (await eventually(seen, within_s=within_s, what=f"{kind} of {task}, attempt {attempt or 'any'}"))[0]

    async def runs_on(self, task: str, *, within_s: float = 60.0) -> str:
        """Wait until bytes of a task have come; the node that told so last."""
        await self.has_bytes(task, 1, within_s=within_s)
        return next(p.node for _, p in reversed(self.progress) if p.task == task)

    async def has_bytes(self, task: str, count: int, *, within_s: float = 60.0) -> None:
        """Wait until so many bytes of a task have come."""
        await eventually(lambda: self.bytes_done(task) >= count, within_s=within_s, what=f"progress of {task}")

    def take_heartbeat(self, heard: Heard, now: float) -> None:
        beat = codec.decode(heard.data, Heartbeat)
        self.beats[beat.node].append((now, beat))

    def take_progress(self, heard: Heard, now: float) -> None:
        self.progress.append((now, codec.decode(heard.data, Progress)))

    def take_row(self, heard: Heard, _: float) -> None:
        if heard.data and s.parse_task(heard.subject).task != MARKER:  # else a hint
            self.rows.append((int(heard.headers[s.SEQUENCE]), codec.decode(heard.data, TaskRow)))

    def places(self) -> dict[tuple[str, int], set[str]]:
        """At which nodes each attempt of each task ever stood."""
        found: dict[tuple[str, int], set[str]] = defaultdict(set)
        for _, row in self.rows:
            if row.state is State.ASSIGNED:
                found[row.task, row.attempt].add(row.place)
        return found


@asynccontextmanager
async def witnessing(url: str, creds: str) -> AsyncIterator[Witness]:
    """Write down everything from here on; `creds` are an admin's."""
    witness = Witness()

    def heard(take: Callable[[Heard, float], None]) -> Callable[[Heard], None]:
        return lambda message: take(message, time.time())

    async with (
        connect(url, creds, name="witness", timeout_s=20) as connection,
        listening(connection, s.HEARTBEATS_ALL, heard(witness.take_heartbeat)),
        listening(connection, s.PROGRESS_ALL, heard(witness.take_progress)),
        listening(connection, s.TASKS_TREE, heard(witness.take_row)),
        following(connection, 0) as follower,
        anyio.create_task_group() as tasks,
    ):

        async def follow() -> None:
            async for stored in follower.events():
                witness.log.append(stored)

        tasks.start_soon(follow)
        yield witness
        tasks.cancel_scope.cancel()
