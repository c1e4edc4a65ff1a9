"""A node, or the leading coordinator, that is cut off from NATS and comes back."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import anyio
import msgspec
import pytest

from tests.chaos.cluster import Cluster, chaos_cluster
from tests.chaos.process import Process
from tests.harness.link import Link, linked
from tests.harness.waiting import eventually, stays

SIZE = 6 << 20
SLOW = 40_000
"""Bytes a second and connection: far more than two minutes for SIZE."""
LOST_AFTER_S = 10.0
"""The default of `node_lost_after_s`."""
LEASE_S = 3.0
"""The default of `lease_ttl_s`."""

Cut = Callable[[Link], None]


async def two_nodes(cluster: Cluster, far_url: str) -> tuple[str, str, str]:
    """Three downloads that `node-far`, reached at `far_url`, has begun; then `node-near` joins."""
    cluster.add_node("node-far", url=far_url)
    await cluster.start("node-far")
    await cluster.until_ready()
    first, second, third = [await cluster.submit(name, SIZE, bytes_per_s=SLOW) for name in ("first", "second", "third")]
    for task in (first, second, third):
        assert await cluster.witness.runs_on(task) == "node-far"
    cluster.add_node("node-near")
    await cluster.start("node-near")
    await cluster.until_ready()
    return first, second, third


def is_placed(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


async def check_a_cut(cluster: Cluster, link: Link, cut: Cut, *, for_s: float) -> None:
    """Cut `node-far` off with three downloads: it ends two of them meanwhile, of which one ends at `node-near` too."""
    ended_twice, ended_far, moved = await two_nodes(cluster, f"nats://{link.address}")
    far = cluster.downloads / "node-far"
    cut(link)
    cut_at = anyio.current_time()
    for name in ("first", "second"):
        cluster.origin.bodies[name].hurry()
    await eventually(lambda: is_placed(far, "first") and is_placed(far, "second"), within_s=20, what="it goes on alone")
    assert not cluster.witness.ended(), "nobody can know of it yet"
    cluster.origin.bodies["second"].bytes_per_s = SLOW
    for task in (ended_twice, ended_far, moved):
        await cluster.witness.sees(task, "started", attempt=2, within_s=LOST_AFTER_S + 15)
    await cluster.witness.sees(ended_twice, "finished.completed")
    await anyio.sleep(max(0.0, cut_at + for_s - anyio.current_time()))

    await link.mend()
    by_far = (await cluster.witness.sees(ended_far, "finished.completed", within_s=30)).event
    assert (by_far.node, by_far.attempt) == ("node-far", 1), "the first whole file counts, whichever attempt it is of"
    held = lambda: {one.task for one in cluster.witness.beats["node-far"][-1][1].held}  # noqa: E731
    await eventually(lambda: not held(), within_s=30, what="it lets go of what was given away")
    cluster.origin.hurry()
    await cluster.books.balance()
    outcomes = {task: cluster.witness.outcomes(task)[0].event for task in (ended_twice, moved)}
    assert {task: (event.node, event.attempt) for task, event in outcomes.items()} == {
        ended_twice: ("node-near", 2),
        moved: ("node-near", 2),
    }
    await eventually(lambda: not cluster.books.strays(), what="a file that lost is removed")


async def test_a_node_cut_off_goes_on_and_what_was_given_away_ends_once(tmp_path: Path) -> None:
    async with chaos_cluster(tmp_path, nodes=0) as cluster, linked(cluster.port) as link:
        await check_a_cut(cluster, link, Link.silence, for_s=LOST_AFTER_S + 2)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("cut", [Link.silence, Link.cut])
async def test_a_node_cut_off_for_two_minutes_goes_on_and_what_was_given_away_ends_once(
    tmp_path: Path, cut: Cut
) -> None:
    async with chaos_cluster(tmp_path, nodes=0) as cluster, linked(cluster.port) as link:
        await check_a_cut(cluster, link, cut, for_s=120)


async def far_leader(cluster: Cluster, link: Link) -> tuple[Process, Process]:
    """`coordinator-far` leads over the link, `coordinator-near` stands by."""
    far = cluster.add_coordinator("coordinator-far", url=f"nats://{link.address}")
    await cluster.start("coordinator-far")
    await cluster.until_ready()
    near = cluster.add_coordinator("coordinator-near")
    await cluster.start("coordinator-near")
    return far, near


def when(process: Process, said: str) -> float:
    """When it logged that last, Unix seconds; 0: never."""
    lines = [msgspec.json.decode(line) for line in process.log.splitlines() if line.startswith("{")]
    times = [datetime.fromisoformat(line["timestamp"]).timestamp() for line in lines if line["event"] == said]
    return times[-1] if times else 0.0


@pytest.mark.slow
@pytest.mark.parametrize("cut", [Link.silence, Link.cut])
async def test_a_leader_cut_off_steps_down_by_its_own_clock_and_does_no_harm_when_it_is_back(
    tmp_path: Path, cut: Cut
) -> None:
    async with chaos_cluster(tmp_path, coordinators=0) as cluster, linked(cluster.port) as link:
        far, near = await far_leader(cluster, link)
        # Writes of all kinds are on their way at the moment of the cut, and get through a minute later.
        async with anyio.create_task_group() as producers:
            for number in range(4):
                producers.start_soon(submit_for, cluster, f"{number}", 8.0)
            await anyio.sleep(2)
            link.delay_s = 0.3
            await anyio.sleep(1)
            cut(link)
            await eventually(lambda: when(near, "took over") > 0, within_s=LEASE_S + 10, what="the standby leads")
        stepped_down = when(far, "no longer leading")
        assert 0 < stepped_down <= when(near, "leading") + 0.5, "never two that think they lead"
        await eventually(lambda: cluster.books.asked.keys() <= cluster.witness.ended(), within_s=60)
        link.delay_s = 0.0
        await link.mend()
        await eventually(lambda: when(far, "reconnected to the broker") > stepped_down, within_s=30)
        await cluster.submit("after", 100_000)
        await cluster.books.balance()
        await stays(lambda: cluster.leader is near, for_s=5)
        assert when(near, "no longer leading") == 0.0
        assert cluster.books.strays() == []


async def submit_for(cluster: Cluster, prefix: str, seconds: float) -> None:
    end, count = anyio.current_time() + seconds, 0
    while anyio.current_time() < end:
        await cluster.submit(f"load-{prefix}-{count}", 20_000)
        count += 1
        await anyio.sleep(0.05)
