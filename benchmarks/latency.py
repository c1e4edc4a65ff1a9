"""(c) An idle cluster and one task at a time: how long until the origin is asked for its first byte, and until the end.

The peer is `aria2.addUri` to an aria2c that runs already: what a client of one machine without a cluster would see.
"""

import secrets
import statistics

import aiohttp
import anyio

from benchmarks import usage
from benchmarks.cluster import Bench, fresh_id
from benchmarks.rows import Row
from broker.binaries import find_aria2c
from node.aria2 import Aria2
from node.daemon import Daemon, Lane
from node.transfers import Addition, Status
from schemas.request import Request

TASKS = 100
PAUSE_S = 0.05
"""Between two tasks, so that each finds the cluster idle."""
PEER_POLL_S = 0.002


async def measure(bench: Bench, *, rounds: int, tasks: int = TASKS) -> list[Row]:
    """Four rows: first byte and end, p50 and p99, over all rounds."""
    asked_s: list[float] = []
    ended_s: list[float] = []
    peer_asked_s: list[float] = []
    peer_ended_s: list[float] = []
    await _cluster(bench, tasks // 10)
    before = bench.usage()
    for _ in range(rounds):
        asked, ended = await _cluster(bench, tasks)
        asked_s += asked
        ended_s += ended
        asked, ended = await _aria2c(bench, tasks)
        peer_asked_s += asked
        peer_ended_s += ended
    used = usage.since(before, bench.usage())
    return [
        Row(
            bench="latency",
            case=f"{case}, {name}",
            value=round(_quantile(ours, share) * 1000, 2),
            unit="ms",
            peer="aria2.addUri",
            peer_value=round(_quantile(theirs, share) * 1000, 2),
            floor_of="value",
            floor=50 if (case, name) == (FIRST_BYTE, "p50") else None,
            floor_is_ceiling=True,
            cpu_s=round(used.cpu_s / rounds, 2),
            peak_mib=round(used.peak_mib, 1),
            rounds=rounds,
        )
        for case, ours, theirs in ((FIRST_BYTE, asked_s, peer_asked_s), (END, ended_s, peer_ended_s))
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ]


FIRST_BYTE = "first byte asked"
END = "end heard"


async def _cluster(bench: Bench, tasks: int) -> tuple[list[float], list[float]]:
    """Seconds from submission to the origin's first GET, and to the outcome, of each task."""
    began: dict[str, float] = {}
    ended: list[float] = []
    for _ in range(tasks):
        key = secrets.token_hex(8)
        began[key] = anyio.current_time()
        ended.append(await bench.run([Request(uris=(f"{bench.origin}/asked/{key}",), dir="latency", id=fresh_id())]))
        await anyio.sleep(PAUSE_S)
    asked = await first_asked(bench)
    return [asked[key] - moment for key, moment in began.items()], ended


async def _aria2c(bench: Bench, tasks: int) -> tuple[list[float], list[float]]:
    began: dict[str, float] = {}
    ended: list[float] = []
    folder = bench.folder / "latency"
    daemon = Daemon(Lane.SMALL, find_aria2c(""), state=bench.folder / "latency-state", downloads=folder, slots=16)
    async with daemon:
        await daemon.start()
        client = Aria2(daemon.port, daemon.secret, anyio.CapacityLimiter(1))
        for _ in range(tasks):
            key = secrets.token_hex(8)
            began[key] = anyio.current_time()
            await client.add_many([Addition(key, [f"{bench.origin}/asked/{key}"], {"dir": str(folder)})])
            while (await client.tick()).transfers[key].status is not Status.COMPLETE:
                await anyio.sleep(PEER_POLL_S)
            ended.append(anyio.current_time() - began[key])
            await anyio.sleep(PAUSE_S)
        client.close()
    asked = await first_asked(bench)
    return [asked[key] - moment for key, moment in began.items()], ended


async def first_asked(bench: Bench) -> dict[str, float]:
    """When the origin was first asked for each key since the last call, on this machine's monotonic clock."""

    async with aiohttp.ClientSession() as session, session.get(f"{bench.origin}/times") as answer:
        told: dict[str, float] = await answer.json()
        return told


def _quantile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=1000, method="inclusive")[min(998, int(share * 1000) - 1)]
