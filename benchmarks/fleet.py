"""A thousand simulated nodes on a real nats-server with a real coordinator: what each costs, and how fast they work.

The nodes live in this process and do what nodes do to the broker, at their real pace: a heartbeat every 2 s that lists
what they hold, a renewal of their lock every 3 s, a reading of their own rows every 15 to 30 s, and for each task
`started` and `finished.completed`. They have no aria2c: a task takes as long as it is told.

| phase | what runs |
|---|---|
| heartbeats | only those |
| standing | locks and readings too: what a fleet costs that has nothing to do |
| work | and tasks, all submitted at once, until the last has ended |
"""

import json
import os
import random
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import anyio
from anyio.abc import TaskGroup

from benchmarks import usage
from benchmarks.rows import Row
from broker import pull
from broker.connection import Connection
from broker.errors import BrokerError
from broker.eventlog import EventLog
from broker.exchange import Ask
from broker.lease import Holder, Lease
from broker.listen import Heard, listening
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.event import Completed, Started
from schemas.heartbeat import Heartbeat, Held
from schemas.request import Request
from schemas.task import TaskRow
from tests.chaos.process import Process
from tests.harness.broker import Broker, running_broker
from tests.harness.processes import COMMAND

NODES, QUICK_NODES = 1_000, 40
TASKS, QUICK_TASKS = 10_000, 200
SLOTS = 8
CONNECTIONS = 8
"""The nodes share so many: real ones have one each, which costs the server memory, not time."""
BEAT_EVERY_S, RENEW_EVERY_S, READ_EVERY_S = 2.0, 3.0, (15.0, 30.0)
LOCK_TTL_S = 10
KNOWN_AFTER_BEATS = 4
"""To meet a node costs the coordinator more than to hear it again."""
TASK_TAKES_S = 2.0
PHASE_S, QUICK_PHASE_S = 30.0, 3.0
IN_FLIGHT = 256
ENDS_WITHIN_S = 600.0
DIGEST = "sha-256=" + "0" * 64


class Figures(NamedTuple):
    """What the server and the coordinator had done by some moment."""

    at: float
    server: usage.Usage
    coordinator: usage.Usage
    messages: int
    """That the server received and sent, JetStream's own included."""
    bytes: int


class Standing(NamedTuple):
    """What a fleet costs that has nothing to do: of each for one heartbeat, and with it locks and readings."""

    coordinator_s: float
    server_s: float
    messages: float
    bytes: float


class Fleet:
    """The nodes of one run."""

    def __init__(self, connections: list[Connection], nodes: int) -> None:
        self.names = [f"node-{number:04d}" for number in range(nodes)]
        self.connections = connections
        self.held: dict[str, dict[str, int]] = {name: {} for name in self.names}
        """By node: the attempt of each task that it has."""
        self.done: set[str] = set()
        self.unanswered = self.readings = self.renewals = 0
        """Asked of the broker without an answer in time; rows read; locks renewed."""
        self.beats = 0
        self.beat_bytes = 0
        self._begun: set[str] = set()

    def connection(self, name: str) -> Connection:
        return self.connections[hash(name) % len(self.connections)]

    async def beat(self, name: str) -> None:
        """Until cancelled; begun at a random moment, as a fleet does."""
        await anyio.sleep(random.uniform(0, BEAT_EVERY_S))  # noqa: S311
        number = 0
        while True:
            number += 1
            held = self.held[name]
            beating = Heartbeat(
                node=name, instance="bench", beat=number, version="0", slots=SLOTS, running=min(SLOTS, len(held)),
                waiting=max(0, len(held) - SLOTS), tags=("eu", f"rack={name[-2:]}"),
                capabilities=("http", "ftp", "sftp"),
                cpu_percent=12.5, memory_bytes=80 << 20, disk_free_bytes=1 << 40, disk_capacity_bytes=1 << 41,
                held=tuple(Held(task, attempt, "active") for task, attempt in held.items()),
            )  # fmt: skip
            body = codec.encode(beating)
            self.beats, self.beat_bytes = self.beats + 1, self.beat_bytes + len(body)
            await self.connection(name).publish(s.heartbeat(name), body)
            await anyio.sleep(BEAT_EVERY_S)

    async def keep_lock(self, name: str) -> None:
        await anyio.sleep(random.uniform(0, RENEW_EVERY_S))  # noqa: S311
        holder = Holder(name=name, instance="bench")
        lock = Lease(self.connection(name), s.node_lock_key(name), holder, ttl_s=LOCK_TTL_S)
        while True:
            try:
                await (lock.renew() if lock.revision else lock.acquire())
                self.renewals += 1
            except BrokerError:
                self.unanswered += 1
            await anyio.sleep(RENEW_EVERY_S)

    async def read_rows(self, name: str) -> None:
        while True:
            await anyio.sleep(random.uniform(*READ_EVERY_S))  # noqa: S311
            mine = s.node_tasks(name)
            try:
                async with pull.snapshot(self.connection(name), s.TASKS_STREAM, mine, name=name) as reading:
                    await reading.all()
                self.readings += 1
            except BrokerError:
                self.unanswered += 1  # as a node does: it reads again when it is time

    @asynccontextmanager
    async def working(self, tasks: TaskGroup) -> AsyncIterator[None]:
        """Take what is placed, until the end of the block."""

        def hear(heard: Heard) -> None:
            if not heard.data:
                return  # a hint that a row has gone
            row = codec.decode(heard.data, TaskRow)
            if row.place in self.held and row.task not in self._begun:
                self._begun.add(row.task)
                self.held[row.place][row.task] = row.attempt
                tasks.start_soon(self._work, row)

        async with listening(self.connections[0], s.TASKS_ALL, hear):
            yield

    async def _work(self, row: TaskRow) -> None:
        connection = self.connection(row.place)
        told: dict[str, Any] = {"task": row.task, "owner": row.owner, "attempt": row.attempt}
        log, now = EventLog(connection, row.place), datetime.now(UTC)
        await log.emit(Started(**told, time=now, node=row.place, lane="small"))
        await anyio.sleep(TASK_TAKES_S)
        ended = Completed(
            **told, time=now, node=row.place, path=f"{row.task}.bin", bytes=1 << 20, digest=DIGEST, seconds=TASK_TAKES_S
        )
        await log.finish(ended)
        self.held[row.place].pop(row.task, None)
        self.done.add(row.task)


async def measure(folder: Path, *, nodes: int, tasks: int, phase_s: float) -> list[Row]:
    """Rows for each phase, with the load of the machine on stderr. Raises RuntimeError where a task got lost."""
    async with (
        running_broker(folder / "fleet") as broker,
        _coordinator(broker, folder) as coordinator,
        AsyncExitStack() as stack,
    ):
        connections = [await stack.enter_async_context(broker.connected(Role.ADMIN)) for _ in range(CONNECTIONS)]
        fleet = Fleet(connections, nodes)

        def figures() -> Figures:
            server = usage.of([broker.server.process.pid])
            return Figures(anyio.current_time(), server, usage.of([coordinator.pid]), *_traffic(broker))

        rows = []
        async with anyio.create_task_group() as group:
            for name in fleet.names:
                group.start_soon(fleet.beat, name)
            await anyio.sleep(KNOWN_AFTER_BEATS * BEAT_EVERY_S)
            rows += await _beating(fleet, figures, phase_s)
            for name in fleet.names:
                group.start_soon(fleet.keep_lock, name)
                group.start_soon(fleet.read_rows, name)
            await anyio.sleep(RENEW_EVERY_S)
            found, standing = await _standing(fleet, figures, phase_s)
            rows += found
            async with fleet.working(group):
                rows += await _working(fleet, figures, tasks, standing)
            group.cancel_scope.cancel()
    return rows


async def _beating(fleet: Fleet, figures: Callable[[], Figures], phase_s: float) -> list[Row]:
    _say("heartbeats")
    before, beats, sent = figures(), fleet.beats, fleet.beat_bytes
    await anyio.sleep(phase_s)
    after, count = figures(), fleet.beats - beats
    case = f"heartbeats of {len(fleet.names):,} nodes"
    return [
        _row(f"{case}: coordinator", _cpu_s(before.coordinator, after.coordinator) / count * 1e6, "µs CPU each"),
        _row(f"{case}: server", _cpu_s(before.server, after.server) / count * 1e6, "µs CPU each"),
        _row(f"{case}: size", (fleet.beat_bytes - sent) / count, "bytes each"),
    ]


async def _standing(fleet: Fleet, figures: Callable[[], Figures], phase_s: float) -> tuple[list[Row], Standing]:
    _say("standing")
    before, beats = figures(), fleet.beats
    await anyio.sleep(phase_s)
    after, count = figures(), fleet.beats - beats
    standing = Standing(
        _cpu_s(before.coordinator, after.coordinator) / count,
        _cpu_s(before.server, after.server) / count,
        (after.messages - before.messages) / count,
        (after.bytes - before.bytes) / count,
    )
    # By the beats that were sent: on a busy machine this process sends fewer than it should.
    beats_per_s = len(fleet.names) / BEAT_EVERY_S
    case = f"{len(fleet.names):,} idle nodes"
    rows = [
        _row(f"{case}: coordinator", standing.coordinator_s * beats_per_s * 100, "% of a core",
             peak_mib=after.coordinator.peak_mib),
        _row(f"{case}: server", standing.server_s * beats_per_s * 100, "% of a core", peak_mib=after.server.peak_mib),
        _row(f"{case}: traffic", standing.messages * beats_per_s, "messages/s"),
        _row(f"{case}: traffic", standing.bytes * beats_per_s / 1024, "KiB/s"),
    ]  # fmt: skip
    return rows, standing


async def _working(fleet: Fleet, figures: Callable[[], Figures], tasks: int, standing: Standing) -> list[Row]:
    _say("work")
    before, beats = figures(), fleet.beats
    for start in range(0, tasks, IN_FLIGHT):
        asks = [
            Ask(s.REQUESTS, codec.encode(Request(uris=(f"http://mirror.example/{number}",), id=f"job-{number}")))
            for number in range(start, min(tasks, start + IN_FLIGHT))
        ]
        for fate in await fleet.connections[-1].store_all(asks):
            if not isinstance(fate, int):
                raise RuntimeError(f"the inbox did not take a request: {fate}")
    with anyio.move_on_after(ENDS_WITHIN_S):
        while len(fleet.done) < tasks:
            await anyio.sleep(0.05)
    if len(fleet.done) != tasks:
        raise RuntimeError(f"{len(fleet.done)} of {tasks} tasks ended within {ENDS_WITHIN_S:g} s")
    after, count = figures(), fleet.beats - beats
    case = f"{tasks:,} tasks on {len(fleet.names):,} nodes"

    def beyond(used: float, each: float) -> float:
        """A task's part of what was used, without what the fleet would have used anyway."""
        return (used - each * count) / tasks

    coordinator_s, server_s = _cpu_s(before.coordinator, after.coordinator), _cpu_s(before.server, after.server)
    messages, sent = after.messages - before.messages, after.bytes - before.bytes
    return [
        _row(f"{case}: from the first request to the last end", tasks / (after.at - before.at), "tasks/s"),
        _row(f"{case}: asked of the broker and not answered in time", fleet.unanswered, "times"),
        _row(f"{case}: coordinator", beyond(coordinator_s, standing.coordinator_s) * 1e6, "µs CPU/task",
             peak_mib=after.coordinator.peak_mib),
        _row(f"{case}: server", beyond(server_s, standing.server_s) * 1e6, "µs CPU/task",
             peak_mib=after.server.peak_mib),
        _row(f"{case}: traffic", beyond(messages, standing.messages), "messages/task"),
        _row(f"{case}: traffic", beyond(sent, standing.bytes) / 1024, "KiB/task"),
    ]  # fmt: skip


@asynccontextmanager
async def _coordinator(broker: Broker, folder: Path) -> AsyncIterator[Process]:
    arguments = ["coordinator", "--name", "leader", "--server", broker.url]
    arguments += ["--creds", str(Path(broker.creds(Role.COORDINATOR)).resolve())]
    process = Process("leader", [*COMMAND, *arguments], folder, ready="took over")
    process.start()
    try:
        await process.until_ready()
        yield process
    finally:
        process.kill()


def _traffic(broker: Broker) -> tuple[int, int]:
    """Messages and bytes that clients sent to the server, and it to them."""
    ports = json.loads(next(broker.folder.glob("nats-server_*.ports")).read_text())
    with urllib.request.urlopen(f"{ports['monitoring'][0]}/varz", timeout=10) as answer:  # noqa: S310 - this machine's
        said = json.load(answer)
    return said["in_msgs"] + said["out_msgs"], said["in_bytes"] + said["out_bytes"]


def _cpu_s(before: usage.Usage, after: usage.Usage) -> float:
    return after.cpu_s - before.cpu_s


def _row(case: str, value: float, unit: str, **more: float) -> Row:
    return Row(bench="fleet", case=case, value=round(value, 1), unit=unit, **more)  # type: ignore[arg-type]


def _say(what: str) -> None:
    sys.stderr.write(f"  {what} (load {os.getloadavg()[0]:.1f})\n")
