"""What one node does with many downloads: tasks in turn, hundreds at once, and what its lanes are good for.

**In turn**: 10,000 files that take a second each, on 64 slots. The origin notes when each GET begins and ends. A slot
is idle between the end of a download and the beginning of the one that takes it over: the n-th end is matched with the
(n + 64)-th beginning, as long as so many more wait. The first two turns are told apart: until then the leader does not
know how fast the node is, and all slots come free at once. Resident memory is read when the client hears of the
1,000th and of the last outcome: of the node's Python process, and of its aria2c.

**At once**: 500 downloads from an origin that sends each 16 KiB a second. CPU time of the node's Python process, and of
its aria2c, over 20 seconds, as a share of one core.

**Lanes**: files of 16 KiB through the small lane, beside the same through the large one.
"""

from pathlib import Path

import aiohttp
import anyio
import psutil

from benchmarks.cluster import Bench, bench_cluster, fresh_id
from benchmarks.rows import Row
from broker.listen import Heard, listening
from schemas import subjects as s
from schemas.request import Request

SLOTS = 64
TASKS = 10_000
SETTLED_AT = 1_000
RUNNING = 500
WATCHED_S = 20.0
LANE_FILES = 1_000
STARTED_WITHIN_S = 120.0
GROWTH_MIB = 10.0
IDLE_MS = 200.0
CPU_PERCENT = 25.0
AHEAD = 1_000
"""Tasks in turn that wait at once: so many that work always does."""
PORTION = 500
FIRST_TURNS = 2
NODE = "node-1"


async def measure(folder: Path, *, quick: bool) -> list[Row]:
    """Each part on a cluster of its own: what one leaves behind is no burden for the next."""
    rows: list[Row] = []
    async with bench_cluster(folder / "turn", nodes=1, slots=SLOTS) as bench:
        rows += await _in_turn(bench, *((300, 100) if quick else (TASKS, SETTLED_AT)))
    running = 50 if quick else RUNNING
    async with bench_cluster(folder / "once", nodes=1, slots=running) as bench:
        rows += await _at_once(bench, running, 2.0 if quick else WATCHED_S)
    async with bench_cluster(folder / "lanes", nodes=1, slots=16) as bench:
        rows.append(await _lanes(bench, 100 if quick else LANE_FILES))
    return rows


async def _in_turn(bench: Bench, tasks: int, settled_at: int) -> list[Row]:
    node = _Node(bench)
    ended = 0
    settled: list[float] = []
    ahead = anyio.Semaphore(AHEAD)
    over = anyio.Event()

    def heard(_task: str, _moment: float) -> None:
        nonlocal ended
        ended += 1
        ahead.release()
        if ended == settled_at:
            settled.extend(node.memory_mib())
        if ended == tasks:
            over.set()

    bench.heard = heard
    async with anyio.create_task_group() as group:
        group.start_soon(_submit_in_turn, bench, tasks, ahead)
        await over.wait()
    python_mib, aria2_mib = node.memory_mib()
    idle_ms = [1000 * seconds for seconds in idle(await _spans(bench), SLOTS)]
    first_ms, later_ms = max(idle_ms[: FIRST_TURNS * SLOTS]), sorted(idle_ms[FIRST_TURNS * SLOTS :])
    case = f"{tasks:,} in turn"
    growth = python_mib + aria2_mib - sum(settled)
    return [
        _row(f"{case}: a slot idle, longest", later_ms[-1], "ms", at_most=IDLE_MS),
        _row(f"{case}: a slot idle, p99", later_ms[99 * len(later_ms) // 100], "ms"),
        _row(f"{case}: a slot idle, p50", later_ms[len(later_ms) // 2], "ms"),
        _row(f"{case}: a slot idle, longest of the first {FIRST_TURNS} turns", first_ms, "ms"),
        _row(f"{case}: growth since {settled_at:,}", max(growth, 0.01), "MiB", at_most=GROWTH_MIB),
        _row(f"{case}: the Python process", python_mib, "MiB", peer=f"at {settled_at:,}", peer_value=settled[0]),
        _row(f"{case}: its aria2c", aria2_mib, "MiB", peer=f"at {settled_at:,}", peer_value=settled[1]),
    ]


async def _submit_in_turn(bench: Bench, tasks: int, ahead: anyio.Semaphore) -> None:
    for start in range(0, tasks, PORTION):
        count = min(PORTION, tasks - start)
        for _ in range(count):
            await ahead.acquire()
        numbers = range(start, start + count)
        await bench.submit_all([Request(uris=(f"{bench.origin}/paced/{n}",), id=fresh_id()) for n in numbers])


async def _spans(bench: Bench) -> list[tuple[float, float]]:
    async with aiohttp.ClientSession() as http, http.get(f"{bench.origin}/spans") as answer:
        return [(began, ended) for began, ended in await answer.json()]


def idle(spans: list[tuple[float, float]], slots: int) -> list[float]:
    """How long each slot that came free stood idle, seconds: until the next download that had no slot before."""
    begins, ends = sorted(began for began, _ in spans), sorted(ended for _, ended in spans)
    return [max(0.0, began - ended) for ended, began in zip(ends, begins[slots:], strict=False)]


async def _at_once(bench: Bench, running: int, watched_s: float) -> list[Row]:
    node = _Node(bench)
    left, all_run = running, anyio.Event()

    def hear(heard: Heard) -> None:
        nonlocal left
        left -= s.parse_event(heard.subject)[1] == "started"
        if left == 0:
            all_run.set()

    # One connection each: how many an origin serves at once is not what is measured.
    one: dict[str, str | int | float | bool] = {"split": 1, "max-connection-per-server": 1}
    async with listening(bench.client.connection, s.EVENTS_ALL, hear):
        await bench.submit_all(
            [Request(uris=(f"{bench.origin}/slow/{n}",), options=one, id=fresh_id()) for n in range(running)]
        )
        with anyio.fail_after(STARTED_WITHIN_S):
            await all_run.wait()
    await anyio.sleep(min(3.0, watched_s))
    before, began = node.cpu_s(), anyio.current_time()
    await anyio.sleep(watched_s)
    python_s, aria2_s = (after - first for after, first in zip(node.cpu_s(), before, strict=True))
    took_s = anyio.current_time() - began
    case = f"{running} at once"
    return [
        _row(f"{case}: CPU of the Python process", 100 * python_s / took_s, "%", at_most=CPU_PERCENT),
        _row(f"{case}: CPU of its aria2c", 100 * aria2_s / took_s, "%"),
    ]


async def _lanes(bench: Bench, files: int) -> Row:
    """What asks for connections of its own goes through the large lane, however small."""

    def asked(**options: str | int | float | bool) -> list[Request]:
        return [Request(uris=(f"{bench.origin}/small/{n}",), options=options, id=fresh_id()) for n in range(files)]

    await bench.run(asked()[: files // 10])
    small_s = await bench.run(asked())
    large_s = await bench.run(asked(split=1))
    case = f"{files:,} × 16 KiB, small lane"
    peer, peer_value = "large lane", round(files / large_s, 1)
    return _row(case, files / small_s, "files/s", peer=peer, peer_value=peer_value, ratio=round(large_s / small_s, 2))


class _Node:
    """The processes of a cluster's one node."""

    def __init__(self, bench: Bench) -> None:
        self._python = psutil.Process(bench.cluster.describe().pids[NODE])

    def memory_mib(self) -> tuple[float, float]:
        """Resident: of the Python process, and of its aria2c."""
        children = sum(one.memory_info().rss for one in self._python.children(recursive=True))
        return self._python.memory_info().rss / 2**20, children / 2**20

    def cpu_s(self) -> tuple[float, float]:
        times = [one.cpu_times() for one in (self._python, *self._python.children(recursive=True))]
        used = [one.user + one.system for one in times]
        return used[0], sum(used[1:])


def _row(
    case: str,
    value: float,
    unit: str,
    *,
    at_most: float | None = None,
    peer: str = "",
    peer_value: float | None = None,
    ratio: float | None = None,
) -> Row:
    return Row(
        bench="node",
        case=case,
        value=round(value, 2),
        unit=unit,
        peer=peer,
        peer_value=peer_value,
        ratio=ratio,
        floor=at_most,
        floor_of="value",
        floor_is_ceiling=True,
    )
