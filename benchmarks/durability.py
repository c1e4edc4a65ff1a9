"""(f) What it costs that the broker has each write on the disk before it acknowledges it.

Both sides are whole clusters on the same disk: one with `sync_interval: always`, the peer with `1s`.
"""

from pathlib import Path
from statistics import quantiles

import anyio

from benchmarks import usage
from benchmarks.cluster import Bench, bench_cluster, fresh_id
from benchmarks.rows import Round, Row, compared
from schemas.request import Request

PEER = "sync_interval 1s"
ALONE = 50
"""Tasks one after the other: each waits for all its writes."""


async def measure(bench: Bench, *, rounds: int, tasks: int = 5000) -> list[Row]:
    """`bench` is the peer: it syncs once a second."""
    many, alone = [], []
    async with bench_cluster(Path(bench.folder) / "always", sync_interval="always") as safe:
        for side in (safe, bench):
            await _many(side, max(1, tasks // 25))  # warms it up
        for _ in range(rounds):
            many.append((await _many(safe, tasks), await _many(bench, tasks)))
            alone.append((await _alone(safe), await _alone(bench)))
    case = "sync_interval always"
    return [
        compared("durability", f"{case}, {tasks:,} tasks", "tasks/s", PEER, many),
        compared("durability", f"{case}, end heard, p50", "ms", PEER, alone),
    ]


async def _many(bench: Bench, tasks: int) -> Round:
    before = bench.usage()
    took_s = await bench.run([Request(uris=("noop:",), id=fresh_id()) for _ in range(tasks)])
    return Round(tasks / took_s, usage.since(before, bench.usage()))


async def _alone(bench: Bench) -> Round:
    before = bench.usage()
    took_ms = []
    for _ in range(ALONE):
        began = anyio.current_time()
        await bench.run([Request(uris=("noop:",), id=fresh_id())])
        took_ms.append((anyio.current_time() - began) * 1000)
    return Round(quantiles(took_ms, n=2)[0], usage.since(before, bench.usage()))
