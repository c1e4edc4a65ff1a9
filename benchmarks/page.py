"""(k) The web page in Chromium: how heavy it is, how soon it can be used, what many running tasks and long lists cost.

A real gateway beside a real nats-server and nothing else: tasks are written to the streams as coordinator and nodes
write them. CPU is that of the tab's own thread, or process: a busy machine changes it less than it changes times.
"""

import os
import re
import sys
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import anyio
from playwright.async_api import Browser, CDPSession

from benchmarks.gateway import fill
from benchmarks.rows import Row
from broker.connection import Connection
from broker.exchange import Ask
from broker.roles import Role
from gateway.page import read_files
from schemas import codec
from schemas import subjects as s
from schemas.heartbeat import Progress
from schemas.lifecycle import State
from schemas.request import Request
from schemas.task import TaskRow
from tests.harness.broker import Broker, running_broker
from tests.harness.browser import Visit, find_chromium, open_browser, visiting
from tests.harness.gateway import GatewayProcess

FINISHED, LISTED, RUNNING = 10_000, 100_000, 500
QUICK_FINISHED, QUICK_LISTED, QUICK_RUNNING = 300, 1_000, 20
ROUNDS, WATCHED_S = 7, 20.0
QUICK_ROUNDS, QUICK_WATCHED_S = 1, 2.0
SLOWER = 4
"""The CPU of a phone beside a desk's."""
SCRIPT_KIB, USABLE_MS, RUNNING_PERCENT, FRAME_MS = 150, 1500, 30, 16.7
SETTLES_MS = 2500
USABLE = {
    "overview": ".page-actions button, .figures",
    "tasks": '.page-actions button, .task-row[aria-rowindex="5"] a',
}
"""What must be there before somebody can use a page."""
MARK = """{
  const isThere = () => %s.every((what) => document.querySelector(what));
  const look = () => (isThere() ? performance.mark("usable") : requestAnimationFrame(look));
  requestAnimationFrame(look);
}"""
SCROLL = """async () => {
  const frames = [];
  let before = performance.now(), last = -1;
  while (frames.length < %d) {
    scrollBy(0, 300);
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - before);
    before = performance.now();
  }
  return [frames, scrollY];
}"""


async def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Rows for weight, loading, running and scrolling; for the weight alone where there is no Chromium."""
    rows = [_row("first view: script, compressed", script_kib(), "KiB", SCRIPT_KIB)]
    if find_chromium() is None:
        sys.stderr.write("  the rest needs Chromium: install the package chromium\n")
        return rows
    finished, listed, running = (QUICK_FINISHED, QUICK_LISTED, QUICK_RUNNING) if quick else (FINISHED, LISTED, RUNNING)
    rounds, watched_s = (QUICK_ROUNDS, QUICK_WATCHED_S) if quick else (ROUNDS, WATCHED_S)
    async with (
        open_browser() as browser,
        running_broker(folder / "broker") as broker,
        broker.connected(Role.ADMIN) as admin,
    ):
        await fill(admin, finished)
        gateway = GatewayProcess(broker, folder / "gateway")
        async with gateway.running():
            for page in USABLE:
                _say(f"loading: {page}")
                rows += await _loading(browser, gateway, page, finished, rounds)
            _say("many that run")
            rows += await _running(browser, gateway, broker, admin, running, watched_s)
            _say("a long list")
            await fill(admin, listed, start=finished)
            rows += await _scrolling(browser, gateway, listed)
    return rows


def script_kib() -> float:
    """All that a browser loads before it shows the overview, as it is sent. Raises RuntimeError without a page."""
    files = read_files()
    if not files:
        raise RuntimeError("this checkout has no web page: python hatch_build.py build")
    index = files["index.html"].bodies[""].decode()
    scripts = re.findall(r'="\./(assets/[^"]+\.js)"', index)
    return sum(min(map(len, files[name].bodies.values())) for name in scripts) / 1024


async def _loading(browser: Browser, gateway: GatewayProcess, page: str, tasks: int, rounds: int) -> list[Row]:
    """A tab for each round; the first warms the gateway up and does not count."""
    usable_ms, cpu_ms = list[float](), list[float]()
    for number in range(rounds + 1):
        async with _tab(browser, gateway) as tab:
            await tab.page.add_init_script(MARK % [each.strip() for each in USABLE[page].split(", ")])
            cpu = await _cpu_of(tab)
            await cpu.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
            before = await _task_s(cpu)
            await tab.go(page)
            marked = "() => performance.getEntriesByName('usable')[0]?.startTime"
            found = await (await tab.page.wait_for_function(marked, polling=500)).json_value()
            await tab.page.wait_for_timeout(SETTLES_MS)
            if number:
                usable_ms.append(found)
                cpu_ms.append((await _task_s(cpu) - before) * 1000)
    case = f"{page}, {tasks:,} tasks, CPU at 1/{SLOWER}"
    return [
        _row(f"{case}: usable, p50", median(usable_ms), "ms", USABLE_MS, rounds=rounds),
        _row(f"{case}: usable, least", min(usable_ms), "ms", rounds=rounds),
        _row(f"{case}: its thread's CPU until all is drawn", median(cpu_ms), "ms", rounds=rounds),
    ]


async def _running(
    browser: Browser, gateway: GatewayProcess, broker: Broker, admin: Connection, tasks: int, seconds: float
) -> list[Row]:
    """Each task says once a second how far it is, while somebody looks at the list of them."""
    await admin.store_all([_started(number) for number in range(tasks)], timeout_s=60)
    rows: list[Row] = []
    async with anyio.create_task_group() as group, broker.connected(Role.ADMIN) as speaking:
        group.start_soon(_progress, speaking, tasks)
        for page in ("tasks?state=active", "overview"):
            async with _tab(browser, gateway) as tab:
                await tab.go(page)
                await tab.page.wait_for_selector(".task-progress")
                await tab.page.wait_for_timeout(SETTLES_MS)
                cpu = await _cpu_of(tab)
                before, spent = await _task_s(cpu), await _renderers_s(browser)
                await tab.page.wait_for_timeout(seconds * 1000)
                thread = (await _task_s(cpu) - before) / seconds * 100
                whole = (await _renderers_s(browser) - spent) / seconds * 100
                case = f"{page.partition('?')[0]}, {tasks} running, each told every second"
                rows += [
                    _row(f"{case}: the tab's thread", thread, "%"),
                    _row(f"{case}: the tab's process", whole, "%", RUNNING_PERCENT),
                ]
        group.cancel_scope.cancel()
    return rows


async def _progress(speaking: Connection, tasks: int) -> None:
    done, began = 0, anyio.current_time()
    while True:
        done += 1
        for number in range(tasks):
            task, node = _name(number), f"node-{number % 10}"
            told = Progress(
                task=task, attempt=1, node=node, bytes_done=done * (1 << 20), bytes_total=1 << 32, bytes_per_s=1 << 20
            )
            await speaking.publish(s.progress(task, node), codec.encode(told))
            await anyio.sleep_until(began + done + number / tasks)


def _name(number: int) -> str:
    return f"{number + 1:016x}"


def _started(number: int) -> Ask:
    """The row of a task that runs."""
    task, node = _name(number), f"node-{number % 10}"
    uri = f"https://mirror-{number % 20:03d}.example.org/pub/releases/disk-{number:04d}.iso"
    row = TaskRow(
        task=task, owner="default", source=f"id:{task}", request=Request(uris=(uri,), id=task), state=State.ACTIVE,
        place=node, submitted=datetime.now(UTC), writer="coordinator",
    )  # fmt: skip
    return Ask(s.task_write(node, task), codec.encode(row))


async def _scrolling(browser: Browser, gateway: GatewayProcess, tasks: int, frames: int = 300) -> list[Row]:
    """A third of a screen a frame, as somebody who looks for something flicks through a list."""
    async with _tab(browser, gateway) as tab:
        await tab.go("tasks")
        await tab.page.wait_for_selector('.task-row[aria-rowindex="5"] a')
        cpu = await _cpu_of(tab)
        before = await _task_s(cpu)
        took_ms, reached_px = await tab.page.evaluate(SCROLL % frames)
        spent_ms = (await _task_s(cpu) - before) * 1000
    took_ms.sort()
    case = f"{tasks:,} tasks, a third of a screen a frame"
    return [
        _row(f"{case}: its thread's CPU a frame", spent_ms / frames, "ms", FRAME_MS),
        _row(f"{case}: a frame, p50", took_ms[frames // 2], "ms"),
        _row(f"{case}: a frame, p95", took_ms[int(frames * 0.95)], "ms"),
        _row(f"{case}: pixels passed", reached_px, "px"),
    ]


def _tab(browser: Browser, gateway: GatewayProcess) -> AbstractAsyncContextManager[Visit]:
    return visiting(browser, gateway.web.url, gateway.key)


async def _cpu_of(tab: Visit) -> CDPSession:
    session = await tab.page.context.new_cdp_session(tab.page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    return session


async def _task_s(session: CDPSession) -> float:
    """CPU seconds that the tab's thread has had."""
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


async def _renderers_s(browser: Browser) -> float:
    """CPU seconds of the processes that draw tabs: there is one tab."""
    session = await browser.new_browser_cdp_session()
    found = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
    await session.detach()
    return float(sum(each["cpuTime"] for each in found if each["type"] == "renderer"))


def _row(case: str, value: float, unit: str, ceiling: float | None = None, **more: Any) -> Row:
    floor = {} if ceiling is None else {"floor": ceiling, "floor_of": "value", "floor_is_ceiling": True}
    return Row(bench="page", case=case, value=round(value, 1), unit=unit, **floor, **more)  # type: ignore[arg-type]


def _say(what: str) -> None:
    load, *_ = os.getloadavg()
    sys.stderr.write(f"  {what} (load {load:.1f})\n")
