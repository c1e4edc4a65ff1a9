"""One of three nats-servers (R3) dies, freezes, lags or is cut off: work goes on, nothing is lost, nothing twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from schemas.event import Retrying
from tests.chaos.brokers import STREAMS, ThreeBrokers, three_brokers, three_hosts
from tests.chaos.witness import Witness
from tests.harness.hosts import Network
from tests.harness.waiting import eventually, stays

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SMALL = 20_000
LONG = 4 << 20
WORKS_AGAIN_WITHIN_S = 30.0
"""Up to 6 s without a stream's leader are usual, those of its consumers follow; the rest is for a crowded machine."""
NOTICED_WITHIN_S = 60.0
"""A frozen server's connections stay open: its clients and its peers miss its answers first."""


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[ThreeBrokers]:
    """Three servers, two coordinators, two nodes, default settings but for the replicas."""
    async with three_brokers(tmp_path) as cluster:
        yield cluster


def moved(witness: Witness) -> list[str]:
    """Attempts that were taken from a node."""
    return [f"{one.event.task}: {one.event.reason}" for one in witness.log if isinstance(one.event, Retrying)]


async def load(cluster: ThreeBrokers, count: int, prefix: str = "load") -> None:
    """So many small tasks, one after the other."""
    for number in range(count):
        await cluster.submit(f"{prefix}-{number}", SMALL)


async def works_on(cluster: ThreeBrokers, name: str, *, within_s: float = WORKS_AGAIN_WITHIN_S) -> None:
    """A small task goes all the way."""
    task = await cluster.submit(name, SMALL)
    await cluster.witness.sees(task, "finished.completed", within_s=within_s)


async def test_killing_each_leader_in_turn_under_load_loses_and_doubles_nothing(three: ThreeBrokers) -> None:
    long = await three.submit("long", LONG, bytes_per_s=4_000)
    await three.witness.runs_on(long)
    victims = [*STREAMS, "META"]
    for stream in victims:
        leader = await three.leader_of(stream)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load, three, 75, stream)
            await anyio.sleep(0.3)
            three.server(leader).kill()
            await works_on(three, f"after-{stream}")
        await three.start(leader)
        await three.until_in_step()
    assert len(three.books.asked) > 75 * len(victims)
    three.origin.hurry()
    await three.books.balance(within_s=180)
    assert moved(three.witness) == [], "no node was lost, none dropped its tasks"
    assert three.books.strays() == []


async def test_a_killed_follower_is_hardly_noticed(three: ThreeBrokers) -> None:
    leaders = {await three.leader_of(stream) for stream in (*STREAMS, "META")}
    follower = next((server for server in three.servers if server.name not in leaders), three.servers[0])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(load, three, 300)
        await anyio.sleep(0.3)
        follower.kill()
    await three.books.balance(within_s=120)
    assert moved(three.witness) == []
    await three.start(follower.name)
    await three.until_in_step()


@pytest.mark.parametrize("stream", ["TASKS", "KV_downdraft"])
async def test_a_frozen_server_is_left_behind_and_lets_go_of_nothing_when_it_thaws(
    three: ThreeBrokers, stream: str
) -> None:
    long = [await three.submit(f"long-{n}", LONG, bytes_per_s=4_000) for n in range(4)]
    for task in long:
        await three.witness.runs_on(task)
    frozen = three.server(await three.leader_of(stream))
    frozen.freeze()
    await works_on(three, "meanwhile", within_s=NOTICED_WITHIN_S)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(load, three, 100)
        await anyio.sleep(15)
    # What it sends now is old: answers, elections, readings of a table that others have written since.
    frozen.thaw()
    await works_on(three, "afterwards")
    await three.until_in_step()
    held = {task: three.witness.bytes_done(task) for task in long}
    await eventually(lambda: all(three.witness.bytes_done(task) > done for task, done in held.items()), within_s=60)
    three.origin.hurry()
    await three.books.balance(within_s=180)
    # A node on the frozen server's side may find out no sooner than its silence is noticed.
    assert all(len(three.witness.events(task, "retrying")) <= 1 for task in long)
    assert three.books.strays() == []


async def test_a_lagging_copy_does_not_make_a_node_drop_its_tasks(three: ThreeBrokers) -> None:
    """The node reads its tasks from whichever copy answers, and one has missed minutes."""
    lagging = three.server(await not_leading(three, "TASKS"))
    lagging.kill()
    long = [await three.submit(f"long-{n}", LONG, bytes_per_s=4_000) for n in range(6)]
    for task in long:
        await three.witness.runs_on(task)
    await load(three, 300)
    await three.start(lagging.name)
    # Both nodes read their tasks at each reconnect: from a server that has only just begun to catch up, if it can be.
    for server in three.servers:
        if server is not lagging:
            server.freeze()
            await anyio.sleep(0.5)
            server.thaw()
    await stays(lambda: not any(three.witness.events(task, "retrying") for task in long), for_s=35)
    three.origin.hurry()
    await three.books.balance(within_s=180)
    assert [one for one in moved(three.witness) if one.split(":")[0] in long] == []


async def not_leading(cluster: ThreeBrokers, stream: str) -> str:
    leader = await cluster.leader_of(stream)
    return next(server.name for server in cluster.servers if server.name != leader)


async def test_a_server_cut_off_with_a_node_on_its_side_loses_and_doubles_nothing(
    tmp_path: Path, hosts: Network
) -> None:
    async with three_hosts(tmp_path, hosts) as cluster:
        cut_off = hosts.hosts[2]
        long = [await cluster.submit(f"long-{n}", LONG, bytes_per_s=20_000) for n in range(9)]
        nodes = {task: await cluster.witness.runs_on(task) for task in long}
        there = [task for task in long if nodes[task] == "node-3"]
        assert there, "every node has some"
        cut_off.cut()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load, cluster, 300)
            await works_on(cluster, "meanwhile", within_s=NOTICED_WITHIN_S)
            for task in there:
                await cluster.witness.sees(task, "started", attempt=2, within_s=60)
        last_beat = cluster.witness.last_beat("node-3")
        cut_off.heal()
        await eventually(lambda: cluster.witness.last_beat("node-3") > last_beat, within_s=60, what="it is heard again")
        await cluster.until_in_step()
        cluster.origin.hurry()
        await load(cluster, 60, "after")
        await cluster.books.balance(within_s=180)
        taken = moved(cluster.witness)
        assert set(there) <= {line.partition(":")[0] for line in taken}
        assert [line for line in taken if "node node-3 was lost" not in line] == []
        assert cluster.books.strays() == []
