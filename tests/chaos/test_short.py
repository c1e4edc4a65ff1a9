"""The short version for every run: the same faults one after the other, with short timers, on one cluster."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.cluster import QUICK, Cluster, chaos_cluster
from tests.chaos.load import steady_load
from tests.chaos.recovery import BREAKS, KILLED, LARGE, aria2c_back_s, leads_after_s

SIZE = 16 << 20
SLOW = 100_000
STEP_WITHIN_S = 30.0


@pytest.fixture
async def quick_cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Two nodes and two coordinators with short timers."""
    async with chaos_cluster(tmp_path, coordinators=2, settings=QUICK) as running:
        yield running


async def test_whatever_dies_one_after_the_other_every_task_ends_once(quick_cluster: Cluster) -> None:
    cluster = quick_cluster
    async with steady_load(cluster):
        task = await cluster.submit("large", SIZE, bytes_per_s=SLOW)
        for how in BREAKS:
            await leads_after_s(cluster, how)
        await aria2c_back_s(cluster, KILLED, LARGE, "resumed")
        cluster.broker.kill()
        await cluster.start("nats-server")
        node = await cluster.witness.runs_on(task)
        cluster.node(node).freeze(with_children=True)
        await cluster.witness.sees(task, "started", attempt=2, within_s=STEP_WITHIN_S)
        cluster.node(node).thaw()
        cluster.node(cluster.witness.progress[-1][1].node).kill(with_children=True)
        for process in cluster.processes.values():
            process.kill(with_children=True)
        await cluster.start()
    cluster.origin.hurry()
    await cluster.books.balance(within_s=STEP_WITHIN_S)
