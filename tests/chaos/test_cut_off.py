"""A node, or the leading coordinator, that is cut off from NATS and comes back."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec
import pytest

from schemas.event import Completed
from tests.chaos.cluster import Cluster, chaos_cluster
from tests.chaos.process import Process
from tests.harness.hosts import Network
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


class Line(NamedTuple):
    """What lies between `node-far` and the others."""

    url: str
    """The nats-server as the node sees it."""
    cut: Callable[[], None]
    mend: Callable[[], Awaitable[None]]
    within: Sequence[str] = ()
    """Words before the node's command."""


async def two_nodes(cluster: Cluster, line: Line) -> tuple[str, str, str]:
    """Three downloads that `node-far` has begun; then `node-near` joins."""
    cluster.add_node("node-far", url=line.url, within=line.within)
    await cluster.start("node-far")
    await cluster.until_ready()
    first, second, third = [await cluster.submit(name, SIZE, bytes_per_s=SLOW) for name in ("first", "second", "third")]
    for task in (first, second, third):
        assert await cluster.witness.runs_on(task) == "node-far"
    cluster.add_node("node-near")
    await cluster.start("node-near")
    await cluster.until_ready()
    return first, second, third


def linked_line(link: Link, cut: Cut) -> Line:
    return Line(f"nats://{link.address}", lambda: cut(link), link.mend)


def is_placed(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


def ended_by(cluster: Cluster, task: str) -> tuple[str, int]:
    """Which node's file counts, and of which attempt."""
    (outcome,) = cluster.witness.outcomes(task)
    assert isinstance(outcome.event, Completed)
    return outcome.event.node, outcome.event.attempt


async def check_a_cut(cluster: Cluster, line: Line, *, for_s: float) -> None:
    """Cut `node-far` off with three downloads: it ends two of them meanwhile, of which one ends at `node-near` too."""
    ended_twice, ended_far, moved = await two_nodes(cluster, line)
    far = cluster.downloads / "node-far"
    line.cut()
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

    await line.mend()
    await cluster.witness.sees(ended_far, "finished.completed", within_s=30)
    assert ended_by(cluster, ended_far) == ("node-far", 1), "the first whole file counts, whichever attempt it is of"
    await eventually(
        lambda: not cluster.witness.beats["node-far"][-1][1].held, within_s=30, what="it lets go of what was given away"
    )
    cluster.origin.hurry()
    await cluster.books.balance()
    assert ended_by(cluster, ended_twice) == ("node-near", 2)
    assert ended_by(cluster, moved) == ("node-near", 2)
    await eventually(lambda: not cluster.books.strays(), what="a file that lost is removed")


@pytest.mark.slow
async def test_a_node_cut_off_goes_on_and_what_was_given_away_ends_once(tmp_path: Path) -> None:
    async with chaos_cluster(tmp_path, nodes=0) as cluster, linked(cluster.port) as link:
        await check_a_cut(cluster, linked_line(link, Link.silence), for_s=LOST_AFTER_S + 2)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("cut", [Link.silence, Link.cut])
async def test_a_node_cut_off_for_two_minutes_goes_on_and_what_was_given_away_ends_once(
    tmp_path: Path, cut: Cut
) -> None:
    async with chaos_cluster(tmp_path, nodes=0) as cluster, linked(cluster.port) as link:
        await check_a_cut(cluster, linked_line(link, cut), for_s=120)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_host_whose_packets_are_all_lost_for_two_minutes_goes_on_and_what_was_given_away_ends_once(
    tmp_path: Path, hosts: Network
) -> None:
    async with chaos_cluster(tmp_path, nodes=0) as cluster:
        port = cluster.origin.port
        gate, far = hosts.host(), hosts.host()
        async with linked(cluster.port, listen=gate.listen) as link, linked(port, listen=far.listen_inside, at=port):

            async def heal() -> None:
                far.heal()

            line = Line(f"nats://{gate.address}:{link.port}", far.cut, heal, far.command([]))
            await check_a_cut(cluster, line, for_s=120)


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
        stepped_down = when(
            far, "the lease is lost"
        )  # from now on it writes nothing; what it had begun takes a moment to end
        assert 0 < stepped_down <= when(near, "leading") + 0.5, "never two that think they lead"
        await eventually(lambda: cluster.books.asked.keys() <= cluster.witness.ended(), within_s=60)
        # Silence is noticed by pings that are not answered, which may take longer than all the rest.
        await eventually(lambda: when(far, "lost the broker, reconnecting") > 0, within_s=30)
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
