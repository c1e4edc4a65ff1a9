"""(d) Tasks that take no time: what the pipeline itself can do, from the inbox to `finished.completed`.

The peer is a bare JetStream work queue of the same client library on the same server: one durable write and one ack a
job, no identity, no table, no outcome. It shows what a task costs beyond a message.
"""

import anyio
from msgspec.structs import replace

from benchmarks import usage
from benchmarks.cluster import IN_FLIGHT, Bench, fresh_id
from benchmarks.rows import Round, Row, compared
from broker import consumers, pull
from broker.connection import Connection, connect
from broker.exchange import Ask
from broker.roles import Role
from schemas import codec
from schemas.request import Request

WARM_UP = 200
FLOOR_PER_S = 1000
QUEUE = "BENCH"
SUBJECT = "bench.jobs"


async def measure(bench: Bench, *, rounds: int, tasks: int = 5000) -> list[Row]:
    """A row; the sides alternate."""
    await bench.run(_requests(WARM_UP))
    pairs = []
    for _ in range(rounds):
        before = bench.usage()
        took_s = await bench.run(_requests(tasks))
        ours = Round(tasks / took_s, usage.since(before, bench.usage()))
        pairs.append((ours, await _work_queue(bench, tasks)))
    row = compared("noop", f"{tasks:,} tasks", "tasks/s", "bare work queue", pairs, floor=FLOOR_PER_S, floor_of="value")
    # Its server is the cluster's: what that used at its peak is not the peer's.
    return [replace(row, peer_peak_mib=None)]


async def _work_queue(bench: Bench, jobs: int) -> Round:
    creds = str(bench.cluster.creds(Role.ADMIN))
    before = usage.of([bench.cluster.server_pid])
    async with connect(bench.cluster.url, creds, name="bench", timeout_s=10) as connection:
        await connection.api(
            f"STREAM.CREATE.{QUEUE}",
            {"name": QUEUE, "subjects": [SUBJECT], "retention": "workqueue", "storage": "file", "num_replicas": 1},
        )
        try:
            began = anyio.current_time()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_produce, connection, jobs)
                await _consume(connection, jobs)
            took_s = anyio.current_time() - began
        finally:
            await connection.api(f"STREAM.DELETE.{QUEUE}")
    return Round(jobs / took_s, usage.since(before, usage.of([bench.cluster.server_pid])))


async def _produce(connection: Connection, jobs: int) -> None:
    body = codec.encode(_requests(1)[0])
    for start in range(0, jobs, IN_FLIGHT):
        await connection.store_all([Ask(SUBJECT, body) for _ in range(min(IN_FLIGHT, jobs - start))])


async def _consume(connection: Connection, jobs: int) -> None:
    await consumers.create(connection, QUEUE, "worker", (), durable_name="worker", ack_policy="explicit")
    async with pull.reading(connection, QUEUE, "worker", batch=IN_FLIGHT) as reader:
        for _ in range(jobs):
            while (delivery := await reader.next()) is None:
                pass
            await reader.ack(delivery)


def _requests(count: int) -> list[Request]:
    return [Request(uris=("noop:",), id=fresh_id()) for _ in range(count)]
