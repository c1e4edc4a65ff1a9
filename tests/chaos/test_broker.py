"""A nats-server that dies, freezes or stays away: what everyone does about it without being restarted."""

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from broker.roles import Role
from tests.chaos.cluster import Cluster
from tests.chaos.load import steady_load
from tests.harness.processes import COMMAND, environment
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LARGE = 24 << 20
SLOW = 100_000
FREEZE_S = 20.0
AWAY_S = 60.0


async def test_a_killed_broker_comes_back_and_everyone_works_again(cluster: Cluster) -> None:
    task = await cluster.submit("large", LARGE, bytes_per_s=SLOW // 4)
    await cluster.witness.runs_on(task)
    pids = others(cluster)
    async with followed(cluster, "events", "--follow", "--since", "1h") as events, followed(cluster, "watch") as watch:
        await eventually(lambda: counted(watch) == 0, within_s=30, what="watch began")
        async with steady_load(cluster):
            for _ in range(3):
                await anyio.sleep(2)
                cluster.broker.kill()
                await anyio.sleep(1)
                await cluster.start("nats-server")
            await works_again(cluster, task)
        cluster.origin.hurry()
        await cluster.books.balance()
        told = await eventually(lambda: all_told(events, cluster), within_s=30, what="events --follow told everything")
        assert len(told) == len(set(told)), "nothing twice"
        completed = len(cluster.witness.ended())
        await eventually(lambda: counted(watch) == completed, within_s=30, what="watch counted all")
    assert cluster.witness.outcome(task).attempt == 1
    assert pids == {
        process.name: process.pid for process in cluster.processes.values() if process is not cluster.broker
    }


async def test_a_broker_frozen_for_20_s_costs_nothing(cluster: Cluster) -> None:
    task = await cluster.submit("large", LARGE, bytes_per_s=SLOW // 4)
    await cluster.witness.runs_on(task)
    async with steady_load(cluster):
        await anyio.sleep(2)
        cluster.broker.freeze()
        await anyio.sleep(FREEZE_S)
        cluster.broker.thaw()
        await works_again(cluster, task)
    cluster.origin.hurry()
    await cluster.books.balance()
    assert cluster.witness.outcome(task).attempt == 1


async def test_what_finishes_while_the_broker_is_away_for_a_minute_is_reported_when_it_is_back(
    cluster: Cluster,
) -> None:
    tasks = [await cluster.submit(f"large-{n}", LARGE, bytes_per_s=SLOW) for n in range(3)]
    tasks += [await cluster.submit(f"small-{n}", 4 << 20, bytes_per_s=SLOW) for n in range(3)]
    nodes = {task: await cluster.witness.runs_on(task) for task in tasks}
    cluster.broker.kill()
    await anyio.sleep(AWAY_S)
    asked = len(cluster.origin.asked)
    assert not cluster.witness.ended()
    await cluster.start("nats-server")
    await cluster.books.balance()
    assert len(cluster.origin.asked) == asked, "all of it was fetched while nobody could hear of it"
    for task in tasks:
        outcome = cluster.witness.outcome(task)
        assert (outcome.attempt, outcome.node) == (1, nodes[task])


def others(cluster: Cluster) -> dict[str, int]:
    """The pid of everybody but the broker."""
    return {process.name: process.pid for process in cluster.processes.values() if process is not cluster.broker}


async def works_again(cluster: Cluster, running: str) -> None:
    """Submit, place, progress, control and files: all of it, with the processes that were there before."""
    task = await cluster.submit("last-file", 300_000)
    await cluster.witness.sees(task, "finished.completed", within_s=30)
    progress = len(cluster.witness.progress)
    await eventually(lambda: any(p.task == running for _, p in cluster.witness.progress[progress:]), within_s=30)
    code, said = await cluster.downdraft("pause", running)
    assert code == 0, said
    await cluster.witness.sees(running, "paused", within_s=30)
    code, said = await cluster.downdraft("resume", running)
    assert code == 0, said
    code, said = await cluster.downdraft("get", task, "--output", str(cluster.folder / "got"))
    assert code == 0, said
    assert (cluster.folder / "got").read_bytes() == cluster.origin.bodies["last-file"].data


@asynccontextmanager
async def followed(cluster: Cluster, *arguments: str) -> AsyncIterator[Path]:
    """A command that runs all the while; what it printed."""
    printed = cluster.folder / f"{arguments[0]}.out"
    command = [*COMMAND, *arguments, "--json", "--server", cluster.url, "--creds", cluster.creds(Role.OPERATOR)]
    with printed.open("wb") as output:
        async with await anyio.open_process(
            command, cwd=cluster.folder, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process:
            try:
                yield printed
                assert process.returncode is None, printed.read_text()[-500:]
            finally:
                process.kill()


def all_told(printed: Path, cluster: Cluster) -> list[str]:
    """The tasks of the outcomes that were printed, once they are all there."""
    lines = [json.loads(line) for line in printed.read_text().splitlines() if line.startswith("{")]
    told = [line["task"] for line in lines if line["type"].startswith("finished")]
    return told if cluster.books.asked.keys() <= set(told) else []


def counted(printed: Path) -> int:
    """How many completed tasks the last whole line tells of; -1 before the first."""
    lines = printed.read_text().rpartition("\n")[0].splitlines()
    return int(json.loads(lines[-1])["ended"].get("completed", 0)) if lines else -1
