"""(i) A gateway that finds a million finished tasks: how soon it has read them, how much memory, how soon a page.

It is a real gateway process beside a real nats-server, asked by HTTP. The log is written as coordinator and nodes write
it, `queued` and the outcome of each task; the table is empty, and nothing else runs.
"""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import usage
from benchmarks.rows import Row
from broker.connection import Connection
from broker.exchange import Ask
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.event import Completed, Event, Failed, Queued
from schemas.request import Request
from tests.harness.broker import running_broker
from tests.harness.gateway import GatewayProcess
from tests.harness.web import Web

TASKS = 1_000_000
QUICK_TASKS = 3_000
OWNERS, MIRRORS, NODES, PROJECTS = 50, 200, 100, 1000
FAILED_EACH = 20
"""So many to one that failed."""
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
IN_FLIGHT = 1_000
LIMIT = 100
PAGES = 25
"""Of each listing, from the first on."""
REBUILT_WITHIN_S = 120.0
PAGE_WITHIN_MS = 100.0
BYTES_A_TASK = 1536.0
SORTS = ("-time", "name", "-size")


class _Asked(NamedTuple):
    """Pages of one listing."""

    query: dict[str, str]
    times_ms: list[float]


async def measure(folder: Path, *, tasks: int) -> list[Row]:
    """Rows for the rebuilding, the memory and the pages. Raises RuntimeError if it failed."""
    async with running_broker(folder / "broker") as broker:
        _say(tasks, "an empty gateway")
        empty, full = GatewayProcess(broker, folder / "empty"), GatewayProcess(broker, folder / "full")
        async with empty.running():
            empty_bytes = empty.memory
        async with broker.connected(Role.ADMIN) as admin:
            _say(tasks, "writing the log")
            await fill(admin, tasks)
        _say(tasks, "reading it")
        async with full.running() as rebuilt_s:
            used, memory = usage.of([full.process.pid]), full.memory
            _say(tasks, "asking for pages")
            asked = [await _pages(full.web, query) for query in _queries(tasks)]
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


async def _pages(web: Web, query: dict[str, str]) -> _Asked:
    """The first pages of a listing."""
    asked, after = _Asked(query, []), ""
    for _ in range(PAGES):
        began = time.perf_counter()
        page = await web.get("/api/v1/tasks", params={**query, "limit": str(LIMIT), "after": after})
        asked.times_ms.append((time.perf_counter() - began) * 1000)
        if page.status != 200:
            raise RuntimeError(f"a page was answered {page.status}: {page.text}")
        if not (after := page.json["after"]):
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


async def fill(admin: Connection, tasks: int, start: int = 0) -> None:
    """Write the log of finished tasks, from the one numbered `start` on. Raises RuntimeError if it is refused."""
    for first in range(start, tasks, IN_FLIGHT):
        asks = [ask for number in range(first, min(tasks, first + IN_FLIGHT)) for ask in _written(number)]
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
