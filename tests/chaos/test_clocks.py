"""Processes whose wall clock is an hour off, or jumps: the broker's time decides, and monotonic clocks."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from schemas.event import Failed, Retrying
from schemas.request import Request
from tests.chaos.books import Wanted
from tests.chaos.cluster import Cluster, chaos_cluster
from tests.conftest import required
from tests.harness.clocks import WrongClock, library
from tests.harness.waiting import stays

HOUR_S = 3600
RIGHT_WITHIN_S = 15.0
"""What may come late on a crowded machine; an hour would be too late, or too early."""
TOLD_WITHIN_S = 5.0
"""What an event's own time may differ from when it was stored."""

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(library() is None and not required("faketime"), reason="no libfaketime for this machine"),
]


@asynccontextmanager
async def wrong_clocks(
    folder: Path, *, coordinator_s: int = 0, node_s: int = 0
) -> AsyncIterator[tuple[Cluster, WrongClock, WrongClock]]:
    """A coordinator and a node whose clocks are so far ahead, and their clocks.

    A node is lost after 30 s: a crowded machine may be silent for ten, but not for an hour.
    """
    clocks = []
    for name, offset_s in (("coordinator-1", coordinator_s), ("node-1", node_s)):
        (folder / name).mkdir()
        clocks.append(WrongClock(folder / name, offset_s))
    patient = {"DOWNDRAFT_COORDINATOR_NODE_LOST_AFTER_S": "30"}
    async with chaos_cluster(folder, nodes=0, coordinators=0, settings=patient) as cluster:
        cluster.add_coordinator("coordinator-1", settings=clocks[0].environment)
        cluster.add_node("node-1", settings=clocks[1].environment)
        await cluster.start()
        await cluster.until_ready()
        yield cluster, clocks[0], clocks[1]


async def check_moments(cluster: Cluster) -> None:
    """`not_before`, a back-off, a deadline and the time of every event are right."""
    now = datetime.now(UTC)
    later = await cluster.submit("later", 1000, not_before=now + timedelta(seconds=3))
    due = await cluster.submit("due", 1000, not_before=now - timedelta(seconds=3))
    in_time = await cluster.submit("in-time", 1000, deadline=now + timedelta(seconds=60))
    overdue = await cluster.submit(
        "overdue", 4 << 20, bytes_per_s=1000, any_outcome=True, deadline=now + timedelta(seconds=4)
    )
    refused = await cluster.client.submit(Request(uris=("http://127.0.0.1:1/nobody-listens",), max_attempts=2))
    cluster.books.asked[refused] = Wanted("")

    for task in (due, in_time):
        await cluster.witness.sees(task, "finished.completed", within_s=20)
    begun = await cluster.witness.sees(later, "assigned", within_s=30)
    assert 2.9 <= begun.stored_at - now.timestamp() < 3 + RIGHT_WITHIN_S
    ended = await cluster.witness.sees(overdue, "finished.", within_s=30)
    assert isinstance(ended.event, Failed)
    assert ended.event.code == "deadline"
    assert 3.9 <= ended.stored_at - now.timestamp() < 4 + RIGHT_WITHIN_S
    waits = await cluster.witness.sees(refused, "retrying", within_s=30)
    assert isinstance(waits.event, Retrying)
    again = await cluster.witness.sees(refused, "assigned", attempt=2, within_s=30)
    assert -0.1 <= again.stored_at - waits.stored_at - waits.event.next_in_s < RIGHT_WITHIN_S
    await cluster.books.balance()
    assert wrong_times(cluster) == []


def wrong_times(cluster: Cluster) -> list[str]:
    """Events whose own time is not near when they were stored."""
    return [
        f"{one.event.kind}: {one.event.time} stored {datetime.fromtimestamp(one.stored_at, UTC)}"
        for one in cluster.witness.log
        if abs(one.event.time.timestamp() - one.stored_at) > TOLD_WITHIN_S
    ]


def shown_time(cluster: Cluster, name: str) -> datetime:
    """The latest moment in a process's own log: what it believes."""
    return datetime.fromisoformat(json.loads(cluster.processes[name].log.splitlines()[-1])["timestamp"])


@pytest.mark.slow
async def test_a_coordinator_an_hour_ahead_and_a_node_an_hour_behind_do_everything_in_time(tmp_path: Path) -> None:
    async with wrong_clocks(tmp_path, coordinator_s=HOUR_S, node_s=-HOUR_S) as (cluster, _, _):
        assert shown_time(cluster, "coordinator-1") > datetime.now(UTC) + timedelta(minutes=59)
        assert shown_time(cluster, "node-1") < datetime.now(UTC) - timedelta(minutes=59)
        await check_moments(cluster)


@pytest.mark.slow
async def test_a_coordinator_an_hour_behind_and_a_node_an_hour_ahead_do_everything_in_time(tmp_path: Path) -> None:
    async with wrong_clocks(tmp_path, coordinator_s=-HOUR_S, node_s=HOUR_S) as (cluster, _, _):
        await check_moments(cluster)


@pytest.mark.slow
async def test_clocks_that_jump_lose_no_node_and_move_no_task(tmp_path: Path) -> None:
    async with wrong_clocks(tmp_path) as (cluster, of_coordinator, of_node):
        running = await cluster.submit("running", 4 << 20, bytes_per_s=20_000)
        later = await cluster.submit("later", 1000, not_before=datetime.now(UTC) + timedelta(seconds=60))
        begun = datetime.now(UTC).timestamp()
        assert await cluster.witness.runs_on(running) == "node-1"
        for clock in (of_coordinator, of_node):
            for offset_s in (HOUR_S, -HOUR_S, 0):
                clock.jump(offset_s)
                await stays(lambda: not cluster.witness.events(running, "retrying"), for_s=3.5)
        assert not cluster.witness.events(later, "assigned")
        waited_s = (await cluster.witness.sees(later, "assigned", within_s=90)).stored_at - begun
        assert 59 < waited_s < 60 + RIGHT_WITHIN_S
        leader = cluster.leader
        of_coordinator.jump(HOUR_S)
        await anyio.sleep(5)
        assert cluster.leader is leader
        assert "the lease is lost" not in leader.log
        cluster.origin.hurry()
        await check_moments(cluster)
