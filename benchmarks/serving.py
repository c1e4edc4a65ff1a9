"""(j) What a gateway sends without end: events to two hundred readers at once, and one large file."""

import re
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

import aiohttp
import anyio
import psutil

from benchmarks.cluster import Bench, bench_cluster, fresh_id
from benchmarks.large_file import MIB, write_file
from benchmarks.rows import Row
from broker.connection import connect
from broker.eventlog import EventLog
from broker.roles import Role
from schemas.event import Queued
from schemas.ids import DEFAULT_OWNER, task_id
from schemas.request import Request

READERS, RATE, SECONDS = 200, 200, 20.0
SPARE_S = 60.0
"""After the last event was written: whoever has not read all by then never will."""
LATE_MS = 2000.0
GROWTH_MIB = 48.0
_TIME = re.compile(rb'"time":"([^"]+)"')


async def measure(
    folder: Path, *, readers: int = READERS, seconds: float = SECONDS, mebibytes: int = 1024
) -> list[Row]:
    """Rows for the readers and for the file."""
    async with bench_cluster(folder, nodes=1, gateway=True) as bench:
        described = bench.cluster.describe()
        assert described.gateway is not None
        gateway = psutil.Process(described.pids["gateway"])
        headers = {"X-API-Key": described.gateway.key}
        async with aiohttp.ClientSession(
            described.gateway.url,
            headers=headers,
            timeout=aiohttp.ClientTimeout(),
            connector=aiohttp.TCPConnector(limit=0),
        ) as http:
            return [
                *await _events(bench, http, gateway, readers, seconds),
                *await _file(bench, http, gateway, mebibytes),
            ]


async def _events(
    bench: Bench, http: aiohttp.ClientSession, gateway: psutil.Process, readers: int, seconds: float
) -> list[Row]:
    """Every reader is told every event; how late, from its writing to its reading."""
    count, late_ms, ready = int(RATE * seconds), list[float](), list[int]()
    before, cpu_s = gateway.memory_info().rss, sum(gateway.cpu_times()[:2])
    async with (
        connect(bench.cluster.url, str(bench.cluster.creds(Role.COORDINATOR)), name="bench") as connection,
        anyio.create_task_group() as group,
    ):
        for number in range(readers):
            group.start_soon(_read, http, count, late_ms, ready, number)
        with anyio.fail_after(SPARE_S):
            while len(ready) < readers:
                await anyio.sleep(0.05)
        log, began = EventLog(connection, "coordinator"), anyio.current_time()
        for number in range(count):
            about = {"task": f"{number:016x}", "owner": DEFAULT_OWNER, "name": f"n{number}"}
            await log.emit(Queued(time=datetime.now(UTC), **about))  # type: ignore[arg-type]
            await anyio.sleep_until(began + (number + 1) / RATE)
        group.cancel_scope.deadline = anyio.current_time() + SPARE_S
    if len(late_ms) != readers * count:
        raise RuntimeError(f"{readers} readers were told {len(late_ms)} of {readers * count} events")
    late_ms.sort()
    case = f"{readers} readers at {RATE} events/s"
    used_s, more = sum(gateway.cpu_times()[:2]) - cpu_s, gateway.memory_info().rss - before
    return [
        _row(f"{case}: late, p50", late_ms[len(late_ms) // 2], "ms"),
        _row(f"{case}: late, p99", late_ms[int(len(late_ms) * 0.99)], "ms", LATE_MS),
        _row(f"{case}: the gateway", used_s / seconds * 100, "%"),
        _row(f"{case}: its growth", more / MIB, "MiB"),
    ]


async def _read(
    http: aiohttp.ClientSession, count: int, late_ms: list[float], ready: list[int], number: int | None
) -> None:
    left = count
    async with http.get("/api/v1/events", params={"type": "queued"}) as answer:
        answer.raise_for_status()
        rest = b""
        async for chunk in answer.content.iter_any():
            if number is not None:  # the stream begins with a line that says so
                ready.append(number)
                number = None
            now = datetime.now(UTC)
            *lines, rest = (rest + chunk).split(b"\n")
            for told in (found[1] for line in lines if (found := _TIME.search(line))):
                late_ms.append((now - datetime.fromisoformat(told.decode())).total_seconds() * 1000)
                left -= 1
            if left <= 0:
                return


async def _file(bench: Bench, http: aiohttp.ClientSession, gateway: psutil.Process, mebibytes: int) -> list[Row]:
    """A finished file from its node, through the gateway."""
    write_file(bench.folder / "files" / "large", mebibytes)
    request = Request(uris=(f"{bench.origin}/files/large",), dir="served", id=fresh_id())
    await bench.run([request])
    before = most = gateway.memory_info().rss
    size, began = 0, anyio.current_time()
    async with http.get(f"/api/v1/tasks/{task_id(DEFAULT_OWNER, f'id:{request.id}')}/file") as answer:
        answer.raise_for_status()
        async for chunk in answer.content.iter_chunked(MIB):
            size += len(chunk)
            most = max(most, gateway.memory_info().rss)
    took_s = anyio.current_time() - began
    if size != mebibytes * MIB:
        raise RuntimeError(f"{size} bytes came of {mebibytes} MiB")
    for node in bench.cluster.node_names():
        rmtree(bench.cluster.plan.downloads / node / "served", ignore_errors=True)
    return [
        _row(f"a file of {mebibytes:,} MiB", mebibytes / took_s, "MiB/s"),
        _row(f"a file of {mebibytes:,} MiB: the gateway's growth", (most - before) / MIB, "MiB", GROWTH_MIB),
    ]


def _row(case: str, value: float, unit: str, ceiling: float | None = None) -> Row:
    floor = {} if ceiling is None else {"floor": ceiling, "floor_of": "value", "floor_is_ceiling": True}
    return Row(bench="serving", case=case, value=round(value, 1), unit=unit, **floor)  # type: ignore[arg-type]
