"""(g) How long until the work goes on after something was killed or frozen: median and worst of ten rounds each.

| case | from | to |
|---|---|---|
| node killed | its last heartbeat on the wire | the task's `started` on the other node |
| aria2c killed, frozen | the signal | the new aria2c asks the origin for the rest of the file |
| leader killed, frozen | the signal | the standby has taken over and begins to place |
| broker restarted | nats-server is ready again after SIGKILL | the end of a task submitted at that moment |
"""

from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from statistics import median
from typing import Any

from benchmarks.cluster import Bench
from benchmarks.rows import Row
from tests.chaos.cluster import QUICK, Cluster, chaos_cluster
from tests.chaos.recovery import (
    BREAKS,
    LARGE,
    aria2c_back_s,
    broker_back_s,
    leads_after_s,
    node_lost_s,
)

ROUNDS = 10
CEILINGS_S: Mapping[str, Mapping[str, float]] = {
    "node killed": {"worst": 15.0},
    "aria2c killed": {"worst": 5.0},
    "aria2c frozen": {"worst": 20.0},
    "leader killed": {"median": 3.0, "worst": 6.0},
    "leader frozen": {"median": 3.0, "worst": 6.0},
}

Step = Callable[[Cluster], Awaitable[float]]


async def measure(bench: Bench, *, rounds: int = ROUNDS, quick: bool = False) -> list[Row]:
    """Two rows a case. Default settings and two coordinators; short timers with `quick`."""
    rows = []
    async with chaos_cluster(bench.folder / "recovery", coordinators=2, settings=QUICK if quick else {}) as cluster:
        for case, step in _steps().items():
            took_s = [await step(cluster) for _ in range(rounds)]
            rows += [_row(case, "median", median(took_s), rounds), _row(case, "worst", max(took_s), rounds)]
        await cluster.books.balance()
    return rows


def _steps() -> dict[str, Step]:
    names = (f"body-{number}" for number in count())

    async def aria2c(cluster: Cluster, how: str) -> float:
        return (await aria2c_back_s(cluster, how, LARGE, next(names))).took_s

    steps: dict[str, Step] = {"node killed": lambda cluster: node_lost_s(cluster, next(names))}
    for how in BREAKS:
        steps[f"aria2c {how}"] = lambda cluster, how=how: aria2c(cluster, how)  # type: ignore[misc]
    for how in BREAKS:
        steps[f"leader {how}"] = lambda cluster, how=how: leads_after_s(cluster, how)  # type: ignore[misc]
    return steps | {"broker restarted": lambda cluster: broker_back_s(cluster, next(names))}


def _row(case: str, which: str, value_s: float, rounds: int) -> Row:
    ceiling_s = CEILINGS_S.get(case, {}).get(which)
    judged: dict[str, Any] = {"floor": ceiling_s, "floor_of": "value", "floor_is_ceiling": True} if ceiling_s else {}
    return Row(bench="recovery", case=f"{case}, {which}", value=round(value_s, 2), unit="s", rounds=rounds, **judged)
