"""(d) Tasks that take no time: what the pipeline itself can do, from the inbox to `finished.completed`.

The peer is a bare JetStream work queue of the same library on the same server: one durable write and one ack a job,
no fence, no table, no outcome. It shows what a task costs beyond a message.
"""

import anyio

from benchmarks import usage
from benchmarks.cluster import Bench, fresh_id
from benchmarks.rows import Row
from schemas.request import Request

WARM_UP = 200


async def measure(bench: Bench, *, rounds: int, tasks: int = 5000) -> list[Row]:
    await bench.run(_requests(WARM_UP))
    speeds, used = [], []
    for _ in range(rounds):
        before = bench.usage()
        took_s = await bench.run(_requests(tasks))
        speeds.append(tasks / took_s)
        used.append(usage.since(before, bench.usage()))
        await anyio.sleep(0.5)
    middle = sorted(range(rounds), key=lambda index: speeds[index])[rounds // 2]
    return [
        Row(
            bench="noop",
            case=f"{tasks} tasks, 2 nodes",
            value=round(speeds[middle], 1),
            unit="tasks/s",
            floor=1000,
            cpu_s=round(used[middle].cpu_s, 2),
            peak_mib=round(used[middle].peak_mib, 1),
            rounds=rounds,
        )
    ]


def _requests(count: int) -> list[Request]:
    return [Request(uris=("noop:",), id=fresh_id()) for _ in range(count)]
