"""Everything dies at once, or one after the other."""

import anyio
import pytest

from schemas.event import Released
from tests.chaos.cluster import Cluster
from tests.chaos.load import steady_load
from tests.chaos.process import Process
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

LARGE = 24 << 20
SLOW = 100_000


async def test_after_everything_lost_its_power_at_once_every_task_ends_once(pair: Cluster) -> None:
    large = [await pair.submit(f"large-{n}", LARGE, bytes_per_s=SLOW) for n in range(3)]
    for task in large:
        await pair.witness.runs_on(task)
    async with steady_load(pair, every_s=0.0):
        for _ in range(2):
            await anyio.sleep(3)
            for process in pair.processes.values():
                process.kill(with_children=True)
            await pair.start()
    pair.origin.hurry()
    await pair.books.balance()


async def test_a_rolling_restart_under_load_loses_nothing(pair: Cluster) -> None:
    large = [await pair.submit(f"large-{n}", LARGE, bytes_per_s=SLOW) for n in range(3)]
    for task in large:
        await pair.witness.runs_on(task)
    async with steady_load(pair) as tasks:
        for process in [*pair.nodes, *pair.coordinators, pair.broker]:
            await restarted(process)
            await another_ends(pair)
    pair.origin.hurry()
    await pair.books.balance()
    assert all(pair.witness.outcome(task) for task in [*large, *tasks])
    failures = [one.event for one in pair.witness.log if one.event.kind == "attempt_failed"]
    assert failures == []
    released = {one.event.node for one in pair.witness.log if isinstance(one.event, Released)}
    assert released == {node.name for node in pair.nodes}, "told to stop, a node gives back what it holds"


async def restarted(process: Process) -> None:
    """End it as a service manager does, and start it again. The server ends by SIGTERM with code 1."""
    process.terminate()
    code = await process.ended()
    assert code in ((0, 1) if process.name == "nats-server" else (0,)), process.output
    process.start()
    await process.until_ready()


async def another_ends(cluster: Cluster) -> None:
    ended = len(cluster.witness.ended())
    await eventually(lambda: len(cluster.witness.ended()) > ended, within_s=60, what="work goes on")
