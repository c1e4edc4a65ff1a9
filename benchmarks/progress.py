"""What it costs that transfers tell how far they are: a message each, every second, to whoever listens.

Two thousand transfers of one process, on a real nats-server: nobody listens, then one process that only listens, then a
real gateway, which reads each.
"""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import anyio

from benchmarks import usage
from benchmarks.rows import Row
from broker.connection import Connection
from broker.listen import Heard, listening
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.heartbeat import Progress
from tests.harness.broker import Broker, running_broker
from tests.harness.gateway import GatewayProcess

TRANSFERS, QUICK_TRANSFERS = 2_000, 100
EVERY_S = 1.0
PHASE_S, QUICK_PHASE_S = 20.0, 2.0
CONNECTIONS = 8
SETTLES_S = 2.0


class Told(NamedTuple):
    """What was told by some moment, and used for it."""

    messages: int
    bytes: int
    server_s: float
    gateway_s: float


class Transfers:
    """All that tell something."""

    def __init__(self, broker: Broker, connections: list[Connection]) -> None:
        self._broker = broker
        self._connections = connections
        self._messages = self._bytes = 0

    async def tell(self, number: int) -> None:
        """Of one, until cancelled."""
        await anyio.sleep(random.uniform(0, EVERY_S))  # noqa: S311
        connection, task, node = self._connections[number % CONNECTIONS], f"{number + 1:016x}", f"node-{number % 250}"
        done = 0
        while True:
            done += 1 << 20
            body = codec.encode(
                Progress(task=task, attempt=1, node=node, bytes_done=done, bytes_total=1 << 30, bytes_per_s=1 << 20)
            )
            self._messages, self._bytes = self._messages + 1, self._bytes + len(body)
            await connection.publish(s.progress(task, node), body)
            await anyio.sleep(EVERY_S)

    def told(self, gateway: GatewayProcess | None) -> Told:
        server = usage.of([self._broker.server.process.pid]).cpu_s
        return Told(self._messages, self._bytes, server, usage.of([gateway.process.pid]).cpu_s if gateway else 0.0)


async def measure(folder: Path, *, transfers: int, phase_s: float) -> list[Row]:
    """Rows for each kind of listener."""
    rows: list[Row] = []
    async with running_broker(folder / "progress") as broker, AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(broker.connected(Role.ADMIN)) for _ in range(CONNECTIONS)]
        telling = Transfers(broker, connections)
        gateway = GatewayProcess(broker, folder / "listening")
        async with anyio.create_task_group() as tasks:
            for number in range(transfers):
                tasks.start_soon(telling.tell, number)
            rows += await _phase("nobody listens", telling, phase_s)
            async with _listener(broker):
                rows += await _phase("one listens", telling, phase_s)
            async with gateway.running():
                rows += await _phase("a gateway listens", telling, phase_s, gateway)
            tasks.cancel_scope.cancel()
    return rows


async def _phase(case: str, telling: Transfers, phase_s: float, gateway: GatewayProcess | None = None) -> list[Row]:
    await anyio.sleep(SETTLES_S)
    before = telling.told(gateway)
    await anyio.sleep(phase_s)
    after = telling.told(gateway)
    count = after.messages - before.messages
    rows = [
        _row(f"{case}: server", (after.server_s - before.server_s) / count * 1e6, "µs CPU each"),
        _row(f"{case}: size", (after.bytes - before.bytes) / count, "bytes each"),
    ]
    if gateway is not None:
        rows.append(_row(f"{case}: gateway", (after.gateway_s - before.gateway_s) / count * 1e6, "µs CPU each"))
    return rows


@asynccontextmanager
async def _listener(broker: Broker) -> AsyncIterator[None]:
    def hear(_: Heard) -> None:
        """That it came is enough."""

    async with broker.connected(Role.ADMIN) as connection, listening(connection, s.PROGRESS_ALL, hear):
        yield


def _row(case: str, value: float, unit: str) -> Row:
    return Row(bench="progress", case=case, value=round(value, 1), unit=unit)
