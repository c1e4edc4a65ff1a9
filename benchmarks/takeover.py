"""How long a standby takes that finds a table full of queued tasks, and how much memory, through a real nats-server.

| case | from | to |
|---|---|---|
| read | the leader before it lets the lease go | the standby has taken over: the table is read, the facts are drained |
| first placed | the same | a node hears of the first task that is its own |
"""

import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import msgspec

from benchmarks import usage
from benchmarks.book import Taken, queued_row
from benchmarks.rows import Row
from broker import pull
from broker.connection import Connection
from broker.exchange import Ask
from broker.lease import Holder, Lease
from broker.listen import Heard, listening
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.heartbeat import Heartbeat
from tests.chaos.process import Process
from tests.harness.broker import Broker, running_broker
from tests.harness.processes import COMMAND

TASKS = 1_000_000
QUICK_TASKS = 5_000
NODE = "node-1"
SLOTS = 100
BEAT_EVERY_S = 1.0
IN_FLIGHT = 1_000
"""Rows that wait for the table at once."""
WITHIN_S = 60.0
MEMORY_MIB = 1024.0
GIVE_UP_AFTER_S = 900.0
SETTLE_S = 5.0
"""After the first placement: whatever follows a takeover counts for its memory too."""


async def measure(folder: Path, *, tasks: int) -> list[Row]:
    """Rows for the takeover, for the reading alone and the book alone. Raises RuntimeError if it failed."""
    say = _Said(tasks)
    say("the book alone")
    taken = await _book_alone(tasks)
    async with running_broker(folder / "takeover") as broker, broker.connected(Role.ADMIN) as admin:
        say("writing the table")
        await _fill(admin, tasks)
        say("reading it alone")
        reading_s, reading_cpu_s = await _reading_alone(admin, tasks)
        say("taking over")
        took = await _take_over(broker, admin, folder)
    say("done")

    def row(case: str, value: float, unit: str, **more: Any) -> Row:
        return Row(bench="takeover", case=case, value=round(value, 2), unit=unit, **more)

    def at_most(ceiling: float) -> dict[str, Any]:
        return {"floor": ceiling, "floor_of": "value", "floor_is_ceiling": True}

    many = f"{tasks:,} tasks"
    used = {"cpu_s": round(took.used.cpu_s, 1), "peak_mib": round(took.used.peak_mib, 1)}
    return [
        row(f"{many}: read", took.read_s, "s"),
        row(f"{many}: first placed", took.placed_s, "s", **at_most(WITHIN_S), **used),
        row(f"{many}: peak memory", took.used.peak_mib, "MiB", **at_most(MEMORY_MIB)),
        row(f"{many}: the reading alone", reading_s, "s", cpu_s=round(reading_cpu_s, 1)),
        row("the book alone", taken.bytes_per_task, "bytes/task"),
        row("the book alone: a row that is news", taken.learn_us, "µs"),
        row("the book alone: a row read again", taken.known_us, "µs"),
        row("the book alone: longest collection", taken.longest_ms, "ms"),
    ]


class _Took(msgspec.Struct, frozen=True):
    """What a takeover came to."""

    read_s: float
    placed_s: float
    used: usage.Usage


async def _take_over(broker: Broker, admin: Connection, folder: Path) -> _Took:
    leader = Lease(admin, s.LEADER_KEY, Holder(name="the-one-before", instance="gone"), ttl_s=2, checked=True)
    if await leader.acquire() is not None:
        raise RuntimeError("somebody leads already")
    arguments = ["coordinator", "--name", "standby", "--server", broker.url]
    arguments += ["--creds", str(Path(broker.creds(Role.COORDINATOR)).resolve())]
    standby = Process("standby", [*COMMAND, *arguments], folder, ready="standing by")
    placed = anyio.Event()
    async with _a_node(broker, lambda heard: placed.set()), anyio.create_task_group() as keeping:
        keeping.start_soon(_keep, leader)
        standby.start()
        try:
            await standby.until_ready()
            keeping.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await leader.release()
                began, began_at = anyio.current_time(), time.time()
                with anyio.fail_after(GIVE_UP_AFTER_S):
                    await placed.wait()
                placed_s = anyio.current_time() - began
                await anyio.sleep(SETTLE_S)
                used = usage.of([standby.pid])
        finally:
            standby.kill()
    said = [msgspec.json.decode(line) for line in standby.log.splitlines()]
    if len([line for line in said if line["event"] == "leading"]) != 1:
        raise RuntimeError(f"the standby did not lead in one go: {standby.log[-2000:]}")
    over = next(line for line in said if line["event"] == "took over")
    return _Took(datetime.fromisoformat(over["timestamp"]).timestamp() - began_at, placed_s, used)


async def _keep(leader: Lease) -> None:
    """As a leader does that lives."""
    while True:
        await anyio.sleep(leader.renew_in_s)
        await leader.renew()


@asynccontextmanager
async def _a_node(broker: Broker, hear: Callable[[Heard], None]) -> AsyncIterator[None]:
    """A node that beats, and hears of its tasks, and does nothing about them."""

    async def beat(connection: Connection) -> None:
        number = 0
        while True:
            number += 1
            beating = Heartbeat(
                node=NODE, instance="bench", beat=number, version="0", slots=SLOTS, running=0, waiting=0,
                tags=("eu",), capabilities=("http",), disk_free_bytes=1 << 50,
            )  # fmt: skip
            await connection.publish(s.heartbeat(NODE), codec.encode(beating))
            await anyio.sleep(BEAT_EVERY_S)

    async with (
        broker.connected(Role.NODE, NODE) as connection,
        listening(connection, s.node_tasks(NODE), hear),
        anyio.create_task_group() as group,
    ):
        group.start_soon(beat, connection)
        yield
        group.cancel_scope.cancel()


async def _fill(admin: Connection, tasks: int) -> None:
    """Write queued rows into the table, each as a leader's create."""
    for start in range(0, tasks, IN_FLIGHT):
        rows = [queued_row(number) for number in range(start, min(tasks, start + IN_FLIGHT))]
        asks = [
            Ask(
                s.task_write(row.place, row.task),
                codec.encode(row),
                {s.EXPECTED_SEQUENCE: "0", s.EXPECTED_SUBJECT: s.task_anywhere(row.task)},
            )
            for row in rows
        ]
        for fate in await admin.store_all(asks):
            if not isinstance(fate, int):
                raise RuntimeError(f"the table did not take a row: {fate}")


async def _reading_alone(admin: Connection, tasks: int) -> tuple[float, float]:
    """What the reading takes of a takeover, with nothing done about what is read: seconds, and the reader's CPU's."""
    began, cpu_began, count = time.perf_counter(), time.process_time(), 0
    async with pull.snapshot(admin, s.TASKS_STREAM, s.TASKS_ALL) as found:
        async for batch in found.batches():
            count += len(batch)
    if count != tasks:
        raise RuntimeError(f"{count} rows were read of {tasks}")
    return time.perf_counter() - began, time.process_time() - cpu_began


async def _book_alone(tasks: int) -> Taken:
    command = [sys.executable, "-m", "benchmarks.book", str(tasks)]
    done = await anyio.run_process(command, stderr=None, env=os.environ)
    return msgspec.json.decode(done.stdout, type=Taken)


class _Said:
    """Tells how far it is, and how busy the machine: its figures are worth little on a busy one."""

    def __init__(self, tasks: int) -> None:
        self._tasks = tasks

    def __call__(self, what: str) -> None:
        load, *_ = os.getloadavg()
        sys.stderr.write(f"  {self._tasks:,} tasks: {what} (load {load:.1f})\n")
