"""How fast the planner places: simulated nodes and tasks, no broker.

CPU seconds of this process, which does nothing else: the figures hold on a busy machine too, as far as any can.
"""

import gc
import random
import time
import tracemalloc
from collections.abc import Iterator
from statistics import median

import anyio.lowlevel

from benchmarks.rows import Row
from coordinator.plan import Planner
from coordinator.snapshot import NodeFacts, Task, Wanted
from coordinator.strategies import BUILT_IN, strategy_of
from schemas.policy import policy_of

NODES, TASKS, CLASSES, OWNERS, ORIGINS = 5_000, 100_000, 50, 5, 100
GROWTH = (100, 316, 1_000, 3_162, 10_000)
FLOOR_PER_S = 20_000
GROWTH_MAX = 2.0
"""From 100 to 10,000 nodes: a logarithm doubles."""
BATCH = 256
"""As the coordinator has placements in flight."""
SLOTS, IN_LINE = 24, 6
ZONES = 10


def fleet(count: int) -> Iterator[NodeFacts]:
    """Nodes in ten zones, of three generations, half of them with fast disks, each with a tag of its own."""
    for number in range(count):
        yield NodeFacts(
            node=f"node-{number:05d}",
            instance="1",
            slots=SLOTS,
            limit=SLOTS + IN_LINE,
            tags=frozenset(
                {
                    f"zone=z{number % ZONES}",
                    f"gen={number % 3}",
                    "ssd" if number % 2 else "hdd",
                    f"host=node-{number:05d}",
                }
            ),
            capabilities=frozenset({"http", "ftp", "sftp"}),
            disk_left=10**13,
            disk_low=10**9,
            disk_capacity=10**13,
            bandwidth=10**9,
        )


def classes() -> list[Wanted]:
    """50 kinds of wishes: tags that must, must not and should be there."""
    found = []
    for number in range(CLASSES):
        zone, other = f"zone=z{number % ZONES}", f"zone=z{(number + 1) % ZONES}"
        tags = [{zone}, {"ssd"}, {f"gen={number % 3}"}, set(), {"hdd", f"gen={number % 3}"}][number % 5]
        avoid = {other} if number % 3 == 0 else set()
        prefer = {f"zone=z{number // 5}"} if number % 2 else set()
        found.append(Wanted("http", frozenset(tags), frozenset(avoid - tags), frozenset(prefer), number % 4 // 3))
    return found


def tasks(count: int, dice: random.Random) -> Iterator[Task]:
    wishes = classes()
    for number in range(count):
        yield Task(
            task=f"{number + 1:016x}",
            owner=f"owner-{dice.randrange(OWNERS)}",
            priority=dice.choice((0, 0, 0, 5, -5)),
            order=number,
            sequence=number + 1,
            wanted=wishes[dice.randrange(CLASSES)],
            size=dice.choice((0, 0, 10**6, 10**9)),
            origins=(f"host-{dice.randrange(ORIGINS)}.example:443",),
        )


def filled(nodes: int, waiting: int, strategy: str) -> Planner:
    """A planner with idle nodes and full queues."""
    policy = policy_of({"strategy": strategy, "spread_tag": "zone" if strategy == "spread" else ""})
    planner = Planner()
    planner.follow(policy, strategy_of(policy, planner.speeds))
    for facts in fleet(nodes):
        planner.set_node(facts)
    for task in tasks(waiting, random.Random(nodes)):  # noqa: S311 - the same in each run
        planner.add(task)
    return planner


def placements_per_s(planner: Planner) -> tuple[int, float]:
    """Place all that can be placed: how many, and how many a CPU second."""
    gc.collect()
    gc.freeze()
    placed, began = 0, time.process_time()
    while found := planner.plan(BATCH, 0.0).placements:
        placed += len(found)
    took_s = time.process_time() - began
    gc.unfreeze()
    return placed, placed / took_s


def turnover_per_s(planner: Planner, count: int) -> float:
    """On a full cluster: a task ends, and what waits longest takes its place. So many a CPU second."""
    ended = iter(list(planner.standing()))
    began = time.process_time()
    for number in range(count):
        planner.vacate(next(ended))
        if number % 16 == 15:
            planner.plan(BATCH, 0.0)
    return count / (time.process_time() - began)


def bytes_a_task(count: int = 100_000) -> float:
    """What a waiting task costs in the planner."""
    waiting = list(tasks(count, random.Random(1)))  # noqa: S311
    planner = Planner()
    tracemalloc.start()
    for task in waiting:
        planner.add(task)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / count


async def measure(*, rounds: int, quick: bool) -> list[Row]:
    """Rows for each strategy, for growing fleets, for a full cluster, and for memory."""
    nodes, waiting = (200, 2_000) if quick else (NODES, TASKS)
    rows = []
    for strategy in BUILT_IN:
        await anyio.lowlevel.checkpoint()  # whoever is told to end shall
        found = [placements_per_s(filled(nodes, waiting, strategy)) for _ in range(rounds)]
        case = f"{strategy}, {nodes:,} nodes, {found[0][0]:,} of {waiting:,} tasks"
        per_s = median(one for _, one in found)
        rows.append(_row(case, per_s, "placements/s", rounds, floor=FLOOR_PER_S))
    growth = []
    for count in GROWTH[:2] if quick else GROWTH:
        await anyio.lowlevel.checkpoint()
        some = min(waiting, count * SLOTS)
        per_s = median(placements_per_s(filled(count, some, BUILT_IN[0]))[1] for _ in range(rounds))
        growth.append(1e6 / per_s)
        rows.append(_row(f"{BUILT_IN[0]}, {count:,} nodes", growth[-1], "µs/placement", rounds))
    ceiling = {"floor": GROWTH_MAX, "floor_is_ceiling": True}
    rows.append(
        _row("cost at the most nodes, times that at the fewest", growth[-1] / growth[0], "x", rounds, **ceiling)
    )
    full = filled(nodes, nodes * (SLOTS + IN_LINE) * 2, BUILT_IN[0])
    placements_per_s(full)
    rows.append(_row(f"full cluster, {nodes:,} nodes", turnover_per_s(full, nodes), "ended and placed/s", 1))
    rows.append(_row("a waiting task", bytes_a_task(2_000 if quick else 100_000), "bytes", 1))
    return rows


def _row(case: str, value: float, unit: str, rounds: int, **floor: float) -> Row:
    shown = round(value, 2 if value < 100 else 0)
    return Row(bench="placing", case=case, value=shown, unit=unit, rounds=rounds, floor_of="value", **floor)  # type: ignore[arg-type]
