"""(i) A gateway that comes to a million finished tasks: how long until it has read them, how much memory, how soon a page.

It is a real gateway process beside a real nats-server, asked by HTTP. The log is written as coordinator and nodes write
it, `queued` and the outcome of each task; the table is empty, and nothing else runs.
"""

import hashlib
import os
import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import aiohttp
import anyio
import psutil

from benchmarks import usage
from benchmarks.rows import Row
from broker.connection import Connection
from broker.exchange import Ask
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.apikey import ID_BYTES, SECRET_BYTES, make_secret
from schemas.event import Completed, Event, Failed, Queued
from schemas.request import Request
from tests.chaos.process import Process
from tests.harness.broker import running_broker
from tests.harness.processes import COMMAND

TASKS = 1_000_000
QUICK_TASKS = 3_000
OWNERS, MIRRORS, NODES, PROJECTS = 50, 200, 100, 1000
FAILED_EACH = 20
"""Every so manieth failed."""
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
IN_FLIGHT = 1_000
LIMIT = 100
PAGES = 25
"""Of each listing, from the first on."""
REBUILT_WITHIN_S = 120.0
PAGE_WITHIN_MS = 100.0
BYTES_A_TASK = 1536.0
GIVE_UP_AFTER_S = 900.0
SORTS = ("-time", "name", "-size")


class _Asked(NamedTuple):
    """Pages of one listing."""

    query: dict[str, str]
    times_ms: list[float]


async def measure(folder: Path, *, tasks: int) -> list[Row]:
    """Rows for the rebuilding, the memory and the pages. Raises RuntimeError if it failed."""
    async with running_broker(folder / "gateway") as broker:
        creds = str(Path(broker.creds(Role.GATEWAY)).resolve())
        _say(tasks, "an empty gateway")
        async with _gateway(folder, broker.url, creds) as empty:
            await empty.until_ready()
            empty_bytes = empty.memory()
        async with broker.connected(Role.ADMIN) as admin:
            _say(tasks, "writing the log")
            await _fill(admin, tasks)
        _say(tasks, "reading it")
        async with _gateway(folder, broker.url, creds) as gateway:
            rebuilt_s = await gateway.until_ready()
            used, memory = usage.of([gateway.process.pid]), gateway.memory()
            _say(tasks, "asking for pages")
            asked = [await gateway.pages(query) for query in _queries(tasks)]
    _say(tasks, "done")
    times = sorted(one for each in asked for one in each.times_ms)
    worst = max(asked, key=lambda each: median(each.times_ms))
    slowest = ", ".join(f"{name}={value}" for name, value in worst.query.items())
    many = f"{tasks:,} finished"
    return [
        _row(f"{many}: rebuilt", rebuilt_s, "s", REBUILT_WITHIN_S, cpu_s=round(used.cpu_s, 1), peak_mib=used.peak_mib),
        _row(f"{many}: memory", (memory - empty_bytes) / tasks, "bytes/task", BYTES_A_TASK),
        _row(f"{many}: a page, p99 of {len(times)}", times[int(len(times) * 0.99)], "ms", PAGE_WITHIN_MS),
        _row(f"{many}: a page, p50", median(times), "ms"),
        _row(f"{many}: the slowest listing, p50 ({slowest})", median(worst.times_ms), "ms"),
    ]


def _row(case: str, value: float, unit: str, ceiling: float | None = None, **more: Any) -> Row:
    floor = {} if ceiling is None else {"floor": ceiling, "floor_of": "value", "floor_is_ceiling": True}
    return Row(bench="gateway", case=case, value=round(value, 1), unit=unit, **floor, **more)  # type: ignore[arg-type]


class _gateway:
    """A gateway process, with a key that may do everything."""

    def __init__(self, folder: Path, url: str, creds: str) -> None:
        secret = make_secret(random.Random(1).randbytes(ID_BYTES + SECRET_BYTES))
        key_file = folder / "key"
        key_file.write_text(secret.text)
        settings = {"DOWNDRAFT_GATEWAY_KEY_FILE": str(key_file), "DOWNDRAFT_GATEWAY_KEY_REQUESTS_PER_S": "0"}
        arguments = ["gateway", "--server", url, "--creds", creds, "--port", "0"]
        self.process = Process("gateway", [*COMMAND, *arguments], folder, settings, ready="gateway ready")
        self._headers = {"X-API-Key": secret.text}
        self._began = 0.0

    async def __aenter__(self) -> "_gateway":
        self._began = anyio.current_time()
        self.process.start()
        await self.process.until_ready()
        (line,) = [codec.decode(one.encode(), dict) for one in self.process.log.splitlines() if "gateway ready" in one]
        self._http = aiohttp.ClientSession(line["url"], headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()
        self.process.kill()

    async def until_ready(self) -> float:
        """Seconds since its start."""
        with anyio.fail_after(GIVE_UP_AFTER_S):
            while True:
                async with self._http.get("/readyz") as answer:
                    if answer.status == 200:
                        return anyio.current_time() - self._began
                await anyio.sleep(0.1)

    def memory(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def pages(self, query: dict[str, str]) -> _Asked:
        """The first pages of a listing."""
        asked, after = _Asked(query, []), ""
        for _ in range(PAGES):
            began = time.perf_counter()
            async with self._http.get("/api/v1/tasks", params={**query, "limit": str(LIMIT), "after": after}) as answer:
                page = await answer.read()
            asked.times_ms.append((time.perf_counter() - began) * 1000)
            if answer.status != 200:
                raise RuntimeError(f"a page was answered {answer.status}: {page.decode()}")
            if not (after := codec.decode(page, dict)["after"]):
                break
        return asked


def _queries(tasks: int) -> Iterator[dict[str, str]]:
    """Listings of all kinds, from everything down to nothing, in several orders."""
    early = {"since": SINCE.isoformat(), "until": (SINCE + timedelta(milliseconds=tasks / 5)).isoformat()}
    conditions: list[dict[str, str]] = [
        {},
        {"owner": "owner-7"},
        {"state": "failed"},
        {"owner": "owner-10", "state": "failed"},
        {"label": "project=p77"},
        {"origin": "mirror-007.example.org"},
        {"origin": "*.example.org", "tag": "eu"},
        {"node": "node-7"},
        {"owner": "owner-7", "node": "node-8"},
        {"label": "project=none"},
        {"text": "images"},
        {"text": f"disk-{tasks // 7:09d}"},
        {"text": "nowhere", "owner": "owner-7"},
        early,
        {"owner": "owner-7", **early},
    ]
    for sort in SORTS:
        for condition in conditions:
            yield {"sort": sort, **condition}


async def _fill(admin: Connection, tasks: int) -> None:
    for start in range(0, tasks, IN_FLIGHT):
        asks = [ask for number in range(start, min(tasks, start + IN_FLIGHT)) for ask in _written(number)]
        for fate in await admin.store_all(asks, timeout_s=60):
            if not isinstance(fate, int):
                raise RuntimeError(f"the log did not take an event: {fate}")


def _written(number: int) -> Iterator[Ask]:
    """What is written of one task."""
    digest = hashlib.sha256(number.to_bytes(8, "big")).hexdigest()
    name = f"disk-{number:09d}.iso.xz"
    uri = f"https://mirror-{number % MIRRORS:03d}.example.org/pub/releases/2026.11/images/{name}"
    labels = {"project": f"p{number % PROJECTS}"}
    about: dict[str, Any] = {
        "task": digest[:16],
        "owner": f"owner-{number % OWNERS}",
        "time": SINCE + timedelta(milliseconds=number),
        "attempt": 1,
        "name": name,
        "labels": labels,
    }
    yield _ask(Queued(uris=(uri,), tags=("eu",), **about), "coordinator")
    asked = Request(uris=(uri,), id=digest[16:48], tags=("eu",), labels=labels)
    about |= {"source": f"id:{digest[16:48]}", "request": asked}
    if number % FAILED_EACH == 0:
        yield _ask(Failed(reason="the origin said 404", code="404", **about), "coordinator")
        return
    node = f"node-{number % NODES}"
    done: dict[str, Any] = {
        "path": name,
        "bytes": number * 7919 % (1 << 32),
        "digest": f"sha-256={digest}",
        "seconds": 1.5,
    }
    yield _ask(Completed(node=node, **done, **about), node)


def _ask(event: Event, writer: str) -> Ask:
    return Ask(s.event_write(event.task, event.kind, writer), codec.encode(event))


def _say(tasks: int, what: str) -> None:
    load, *_ = os.getloadavg()
    sys.stderr.write(f"  {tasks:,} tasks: {what} (load {load:.1f})\n")
