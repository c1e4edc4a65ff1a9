"""Nodes that die, freeze or run twice."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.chaos.cluster import Cluster
from tests.chaos.process import Process
from tests.chaos.recovery import node_lost_s
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LARGE = 24 << 20
SLOW = 100_000
"""Bytes a second of each of up to eight connections: half a minute for a large file."""
ELSEWHERE_WITHIN_S = 15.0
"""From the last heartbeat to the start on another node."""
SAVED = 6 << 20
"""Of twice as much: each of eight connections may have lost a MiB. From scratch that takes eight seconds."""
MINUTE = 60.0
TAKEN_EXIT_CODE = 3


async def test_tasks_of_a_killed_node_run_elsewhere_within_15_s_of_its_last_heartbeat(cluster: Cluster) -> None:
    took_s = [await node_lost_s(cluster, f"large-{n}") for n in range(3)]
    assert max(took_s) <= ELSEWHERE_WITHIN_S, took_s
    await cluster.books.balance()
    assert {one.event.attempt for one in cluster.witness.log if one.event.kind == "finished.completed"} == {2}
    failures = [one.event for one in cluster.witness.log if one.event.kind == "attempt_failed"]
    assert failures == [], "no attempt is used up"


async def test_a_killed_node_that_is_back_in_time_goes_on_with_its_partial_files(cluster: Cluster) -> None:
    sizes = {"large": LARGE, "small": 6 << 20}
    tasks = {name: await cluster.submit(name, size, bytes_per_s=SLOW) for name, size in sizes.items()}
    nodes = {name: await cluster.witness.runs_on(task) for name, task in tasks.items()}
    await cluster.witness.has_bytes(tasks["large"], 2 * SAVED)
    await cluster.witness.has_bytes(tasks["small"], 1 << 20)
    for node in set(nodes.values()):
        cluster.node(node).kill(with_children=True)
    before = {name: len(cluster.origin.starts(name)) for name in tasks}
    heard = len(cluster.witness.progress)
    await cluster.start(*set(nodes.values()))
    first = await eventually(lambda: first_bytes(cluster, tasks["large"], heard), within_s=60, what="it goes on")
    cluster.origin.hurry()
    await cluster.books.balance()
    for name, task in tasks.items():
        outcome = cluster.witness.outcome(task)
        assert (outcome.attempt, outcome.node) == (1, nodes[name])
    assert first > SAVED, "what was saved is not fetched again"
    # aria2 asks from 0 to learn the length, and then from where it goes on.
    assert cluster.origin.starts("small")[before["small"] :][-1] > 0, (
        "one connection, which went on where the file ended"
    )


@pytest.mark.parametrize("with_children", [True, False], ids=["aria2c frozen too", "aria2c went on"])
async def test_a_frozen_node_s_late_work_is_dropped(cluster: Cluster, with_children: bool) -> None:
    """Frozen for a minute; meanwhile another node completes its tasks. Its own aria2c may have whole files too."""
    tasks = [await cluster.submit(f"large-{n}", LARGE, bytes_per_s=SLOW) for n in range(4)]
    nodes = {task: await cluster.witness.runs_on(task) for task in tasks}
    lost = nodes[tasks[0]]
    theirs = [task for task, node in nodes.items() if node == lost]
    async with frozen(cluster, lost, with_children=with_children):
        for task in theirs:
            await cluster.witness.sees(task, "started", attempt=2)
        cluster.origin.hurry()
        for task in theirs:
            await cluster.witness.sees(task, "finished")
    await cluster.books.balance()
    for task in theirs:
        assert cluster.witness.outcome(task).attempt == 2
    await until_nothing_is_held(cluster, lost)
    assert cluster.books.strays() == []
    await cluster.books.check()


async def test_what_a_frozen_node_s_aria2c_completed_first_counts(cluster: Cluster) -> None:
    """The node's process is frozen for a minute, its aria2c goes on alone; the other node is slower."""
    task = await cluster.submit("large", LARGE, bytes_per_s=SLOW)
    lost = await cluster.witness.runs_on(task)
    staged = cluster.downloads / lost / ".downdraft" / task
    async with frozen(cluster, lost, with_children=False):
        await cluster.witness.sees(task, "started", attempt=2)
        # What has begun there goes on slowly; what aria2c of the frozen node still wants, it gets at once.
        await eventually(lambda: is_whole(staged / "data", LARGE), within_s=60, what="aria2c went on alone")
        cluster.origin.bodies["large"].bytes_per_s = 4000
    outcome = await cluster.witness.sees(task, "finished")
    cluster.origin.hurry()
    await cluster.books.balance()
    assert (outcome.event.attempt, cluster.witness.outcome(task).node) == (1, lost)
    await until_nothing_is_held(cluster, "node-1", "node-2")
    assert cluster.books.strays() == []
    await cluster.books.check()


async def test_a_second_process_with_one_node_id_exits_and_says_why(cluster: Cluster) -> None:
    task = await cluster.submit("large", LARGE, bytes_per_s=SLOW)
    node = await cluster.witness.runs_on(task)
    twin = cluster.add_node(node, name="twin")
    twin.start()
    assert await twin.ended() == TAKEN_EXIT_CODE
    assert f"node {node!r} runs already on" in twin.output
    assert "give this one another --id" in twin.output
    cluster.origin.hurry()
    await cluster.books.balance()
    assert cluster.witness.outcome(task).attempt == 1
    assert {beat.instance for _, beat in cluster.witness.beats[node]} == {first_instance(cluster, node)}


async def test_a_process_whose_node_id_was_taken_over_while_it_was_frozen_ends(cluster: Cluster) -> None:
    """Its aria2c goes on all the while: what that fetches must end with it."""
    tasks = [await cluster.submit(f"large-{n}", LARGE, bytes_per_s=SLOW // 2) for n in range(2)]
    node = await cluster.witness.runs_on(tasks[0])
    first, children = cluster.node(node), cluster.node(node).children()
    instance = first_instance(cluster, node)
    first.freeze()
    twin = cluster.add_node(node, name="twin")
    await eventually(lambda: taken_over(twin), within_s=60, every_s=0.5, what="the second process has the node id")
    first.thaw()
    assert await first.ended() == TAKEN_EXIT_CODE
    assert f"node {node!r} runs already on" in first.output
    await eventually(lambda: not any(child.is_running() for child in children), what="its aria2c ended too")
    cluster.books.folders[node] = "twin"
    cluster.origin.hurry()
    await cluster.books.balance()
    await eventually(lambda: cluster.witness.beats[node][-1][1].instance != instance, what="the second one lives")


def first_bytes(cluster: Cluster, task: str, heard: int) -> int:
    """What the first progress after so many messages says is done; 0 while there is none."""
    later = (p.bytes_done for _, p in cluster.witness.progress[heard:] if p.task == task and p.phase == "active")
    return next((done for done in later if done), 0)


@asynccontextmanager
async def frozen(cluster: Cluster, node: str, *, with_children: bool) -> AsyncIterator[None]:
    """A node that is frozen for a minute, however long the block takes, and then goes on."""
    process = cluster.node(node)
    began = anyio.current_time()
    process.freeze(with_children=with_children)
    try:
        yield
        await anyio.sleep(began + MINUTE - anyio.current_time())
    finally:
        process.thaw()


def is_whole(data: Path, size: int) -> bool:
    """Whether aria2 has every byte: then its control file is gone."""
    return data.exists() and data.stat().st_size == size and not data.with_name(f"{data.name}.aria2").exists()


def taken_over(twin: Process) -> bool:
    """Start it again and again: it exits while the key of the first stands."""
    if not twin.is_running:
        assert twin.exit_code in (None, TAKEN_EXIT_CODE), twin.output
        twin.start()
    return "node ready" in twin.log


def first_instance(cluster: Cluster, node: str) -> str:
    return cluster.witness.beats[node][0][1].instance


async def until_nothing_is_held(cluster: Cluster, *nodes: str) -> None:
    """Wait for a heartbeat from here on that lists no task."""
    now = time.time()
    for node in nodes:
        await eventually(partial(is_empty_since, cluster, node, now), within_s=60, what=f"{node} holds nothing")


def is_empty_since(cluster: Cluster, node: str, moment: float) -> bool:
    heard_at, beat = cluster.witness.beats[node][-1]
    return heard_at > moment and not beat.held
