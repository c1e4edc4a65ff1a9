"""(h) Submissions a second by HTTP, one by one and in batches, beside the same requests put into the inbox by NATS."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import anyio

from benchmarks import usage
from benchmarks.cluster import Bench, bench_cluster, fresh_id
from benchmarks.rows import Round, Row, compared
from schemas import codec
from schemas.request import Request

CLIENTS = 16
"""Requests that are under way at once, one by one."""
BATCH = 1000
SETTLE_WITHIN_S = 300.0
Send = Callable[[list[Request]], Awaitable[None]]


async def measure(folder: Path, *, rounds: int = 3, singles: int = 2000, batched: int = 10_000) -> list[Row]:
    """Two rows; the sides alternate, and each begins when everything before has ended."""
    async with bench_cluster(folder, gateway=True) as bench:
        gateway = bench.cluster.describe().gateway
        assert gateway is not None
        headers = {"X-API-Key": gateway.key, "Content-Type": "application/json"}
        async with aiohttp.ClientSession(headers=headers) as http:
            address = f"{gateway.url}/api/v1/tasks"

            async def one_by_one(requests: list[Request]) -> None:
                async with anyio.create_task_group() as tasks:
                    for start in range(CLIENTS):
                        tasks.start_soon(_each, http, address, requests[start::CLIENTS])

            async def in_batches(requests: list[Request]) -> None:
                for start in range(0, len(requests), BATCH):
                    await _post(http, address, requests[start : start + BATCH])

            rows = []
            for case, send, count in (
                (f"{singles:,} one by one, {CLIENTS} clients", one_by_one, singles),
                (f"{batched:,} in batches of {BATCH:,}", in_batches, batched),
            ):
                await _timed(bench, send, BATCH)  # to warm up
                pairs = [
                    (await _timed(bench, send, count), await _timed(bench, bench.submit_all, count))
                    for _ in range(rounds)
                ]
                rows.append(compared("submissions", case, "requests/s", "straight NATS", pairs))
            return rows


async def _each(http: aiohttp.ClientSession, address: str, requests: list[Request]) -> None:
    for request in requests:
        await _post(http, address, request)


async def _post(http: aiohttp.ClientSession, address: str, body: Request | list[Request]) -> None:
    async with http.post(address, data=codec.encode(body)) as answer:
        if answer.status != 201:
            raise RuntimeError(f"a submission was answered {answer.status}: {await answer.text()}")


async def _timed(bench: Bench, send: Send, count: int) -> Round:
    """Until the last request is stored; then until the last task has ended, so that the next begins on an idle one."""
    requests = [Request(uris=("noop:",), id=fresh_id()) for _ in range(count)]
    left = count
    ended = anyio.Event()

    def heard(_task: str, _moment: float) -> None:
        nonlocal left
        left -= 1
        if not left:
            ended.set()

    bench.heard = heard
    before, began = bench.usage(), anyio.current_time()
    await send(requests)
    took_s = anyio.current_time() - began
    used = usage.since(before, bench.usage())
    with anyio.fail_after(SETTLE_WITHIN_S):
        await ended.wait()
    return Round(count / took_s, used)
