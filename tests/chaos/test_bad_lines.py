"""Lines that lose a third of their packets, are slow or stutter: slower, never wrong."""

import random
from pathlib import Path

import anyio
import pytest

from tests.chaos.cluster import Cluster, chaos_cluster
from tests.harness.hosts import Network
from tests.harness.link import Link, linked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(800)]

LOSS_PERCENT = 30
DELAY_S = 0.1
"""Each way: an answer takes 200 ms."""
TASKS = 60
SMALL = 20_000
LARGE = 1 << 19
"""Over such a line a connection brings some ten kilobytes a second."""


async def work(cluster: Cluster) -> None:
    """Small and larger downloads; all of them end, and right."""
    for number in range(TASKS):
        await cluster.submit(f"small-{number}", SMALL)
    for number in range(4):
        await cluster.submit(f"large-{number}", LARGE)
    await cluster.books.balance(within_s=600)
    assert cluster.books.strays() == []


async def test_a_third_of_all_packets_lost_and_200_ms_of_delay_make_it_slower_but_never_wrong(
    tmp_path: Path, hosts: Network
) -> None:
    async with chaos_cluster(tmp_path, nodes=0, coordinators=0) as cluster:
        gate = hosts.host()
        async with (
            linked(cluster.port, listen=gate.listen) as broker,
            linked(cluster.origin.port, listen=gate.listen) as origin,
        ):
            url = f"nats://{gate.address}:{broker.port}"
            cluster.origin.host, cluster.origin.port = gate.address, origin.port
            afar = [hosts.host() for _ in range(4)]
            for number in (1, 2):
                cluster.add_node(f"node-{number}", url=url, within=afar[number - 1].command([]))
                cluster.add_coordinator(f"coordinator-{number}", url=url, within=afar[number + 1].command([]))
            await cluster.start()
            await cluster.until_ready()
            broker.delay_s = origin.delay_s = DELAY_S
            for host in afar:
                host.lose(LOSS_PERCENT)
            await work(cluster)
            for host in afar:
                host.heal()


async def test_a_slow_line_that_stutters_makes_it_slower_but_never_wrong(tmp_path: Path) -> None:
    """Where no packet can be lost: 200 ms of delay, as much jitter, and every few seconds a gap of up to eight."""
    async with (
        chaos_cluster(tmp_path, nodes=0, coordinators=0) as cluster,
        linked(cluster.port, seed=1) as to_node,
        linked(cluster.port, seed=2) as to_coordinator,
        anyio.create_task_group() as stutters,
    ):
        cluster.add_node("node-1", url=f"nats://{to_node.address}")
        cluster.add_node("node-2")
        cluster.add_coordinator("coordinator-1", url=f"nats://{to_coordinator.address}")
        cluster.add_coordinator("coordinator-2")
        await cluster.start()
        await cluster.until_ready()
        for seed, link in enumerate((to_node, to_coordinator)):
            link.delay_s, link.jitter_s = DELAY_S, DELAY_S
            stutters.start_soon(stutter, link, random.Random(seed))
        await work(cluster)
        stutters.cancel_scope.cancel()


async def stutter(link: Link, dice: random.Random) -> None:
    while True:
        await anyio.sleep(dice.uniform(1, 5))
        link.silence()
        await anyio.sleep(dice.uniform(0.2, 8))
        await link.mend()
