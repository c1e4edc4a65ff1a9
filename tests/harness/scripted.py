"""A node played by the test: it speaks the wire with a node's own credentials and does as it is told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio

from broker.connection import Connection
from broker.eventlog import EventLog
from broker.listen import Heard, listening
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.event import AttemptFailed, Completed, Released
from schemas.heartbeat import Heartbeat, Held
from schemas.lifecycle import Desired, State
from schemas.redact import told_of
from schemas.task import FailureClass, TaskRow
from tests.harness.broker import Broker
from tests.harness.waiting import eventually


class ScriptedNode:
    """Beats, records the rows that come to it, and reports whatever the test wants."""

    def __init__(self, connection: Connection, name: str, slots: int, tags: tuple[str, ...]) -> None:
        self.connection = connection
        self.name = name
        self.rows: dict[str, tuple[int, TaskRow]] = {}
        self.every_row: list[TaskRow] = []
        self.hints: list[tuple[str, int]] = []
        self.beating = True
        self.holds: dict[str, int] = {}
        self.phases: dict[str, str] = {}
        """What it says it does with a task that it holds; `active` where nothing else is said."""
        self.on_row: Callable[[TaskRow], None] = lambda row: None
        self._log = EventLog(connection, name)
        self._slots, self._tags = slots, tags
        self._beat = 0

    def hear(self, heard: Heard) -> None:
        task = s.parse_task(heard.subject).task
        sequence = int(heard.headers[s.SEQUENCE])
        if not heard.data:
            self.hints.append((task, sequence))
            self.rows.pop(task, None)
            return
        row = codec.decode(heard.data, TaskRow)
        self.rows[task] = (sequence, row)
        self.every_row.append(row)
        if row.state is State.ASSIGNED:
            self.holds[task] = row.attempt
        self.on_row(row)

    async def beat(self, *, leaving: bool = False) -> None:
        self._beat += 1
        held = tuple(Held(task, attempt, self.phases.get(task, "active")) for task, attempt in self.holds.items())
        beat = Heartbeat(
            node=self.name,
            instance=f"i-{id(self):x}",
            beat=self._beat,
            version="0",
            slots=self._slots,
            running=0,
            waiting=0,
            tags=self._tags,
            capabilities=("http",),
            disk_free_bytes=1 << 40,
            held=held,
            leaving=leaving,
        )
        await self.connection.publish(s.heartbeat(self.name), codec.encode(beat))

    async def keep_beating(self) -> None:
        while True:
            if self.beating:
                await self.beat()
            await anyio.sleep(0.1)

    async def gets(self, task: str, *, attempt: int = 1, within_s: float = 10) -> TaskRow:
        """Wait until `task` stands here at this attempt."""

        def here() -> TaskRow | None:
            row = self.rows.get(task, (0, None))[1]
            return row if row is not None and row.attempt == attempt and row.state is State.ASSIGNED else None

        row = await eventually(here, within_s=within_s, what=f"{task} attempt {attempt} at {self.name}")
        assert row is not None
        return row

    async def complete(self, row: TaskRow, *, path: str = "file") -> bool:
        self.holds.pop(row.task, None)
        return await self._log.finish(
            Completed(
                **self._about(row),
                source=row.source,
                node=self.name,
                path=path,
                bytes=1,
                digest="sha-256=00",
                seconds=0.1,
                **told_of(row.request),
            )
        )

    async def fail(
        self,
        row: TaskRow,
        failure: FailureClass = FailureClass.TRANSIENT,
        retry_after_s: float | None = None,
        **fields: Any,
    ) -> None:
        self.holds.pop(row.task, None)
        about = self._about(row) | {"node": self.name, "failure": failure, "reason": "as told"} | fields
        await self._log.report(AttemptFailed(**about, retry_after_s=retry_after_s))

    async def release(self, row: TaskRow, desired: Desired = Desired.RUN) -> None:
        self.holds.pop(row.task, None)
        await self._log.report(Released(**self._about(row), node=self.name, reason="as told", desired=desired))

    def _about(self, row: TaskRow) -> dict[str, Any]:
        return {"task": row.task, "owner": row.owner, "attempt": row.attempt, "time": datetime.now(UTC)}


@asynccontextmanager
async def scripted_node(
    broker: Broker, name: str = "node-1", *, slots: int = 100, tags: tuple[str, ...] = ()
) -> AsyncIterator[ScriptedNode]:
    """A node for the length of the block."""
    async with broker.connected(Role.NODE, name) as connection:
        node = ScriptedNode(connection, name, slots, tags)
        async with listening(connection, s.node_tasks(name), node.hear), anyio.create_task_group() as tasks:
            tasks.start_soon(node.keep_beating)
            yield node
            tasks.cancel_scope.cancel()
