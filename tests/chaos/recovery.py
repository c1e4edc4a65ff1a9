"""How long it takes until the work goes on: the same steps for the tests and for the benchmark."""

import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from tests.chaos.cluster import Cluster
from tests.chaos.process import Process
from tests.harness.waiting import eventually

KILLED, FROZEN = "killed", "frozen"
BREAKS = (KILLED, FROZEN)
LARGE, SMALL = "large", "small"
LANES = (LARGE, SMALL)
TOOK_OVER = "took over"
"""What a coordinator logs when it begins to place."""
GIVE_UP_AFTER_S = 60.0
SIZES = {LARGE: 24 << 20, SMALL: 6 << 20}
"""Files of up to 8 MiB go to the small lane."""
BYTES_PER_S = 500_000
ENOUGH = 2 << 20
"""Bytes that aria2 has when it is broken: some whole MiB of them are saved."""


async def node_lost_s(cluster: Cluster, name: str) -> float:
    """Kill a node with a task: seconds from its last heartbeat to the task's start on another. Then it is back."""
    task = await cluster.submit(name, SIZES[LARGE], bytes_per_s=BYTES_PER_S // 5)
    node = await cluster.witness.runs_on(task)
    cluster.node(node).kill(with_children=True)
    last_beat = cluster.witness.last_beat(node)
    started = await cluster.witness.sees(task, "started", attempt=2, within_s=GIVE_UP_AFTER_S)
    cluster.origin.bodies[name].hurry()
    await cluster.start(node)
    await cluster.witness.sees(task, "finished")
    return started.stored_at - last_beat


class Resumed(NamedTuple):
    took_s: float
    """From the signal to aria2's next request."""
    task: str
    at_byte: int
    """From where it went on."""


async def aria2c_back_s(cluster: Cluster, how: str, lane: str, name: str) -> Resumed:
    """Kill or freeze the aria2c of both lanes of a node while a file comes on one connection."""
    options = {"split": "1"} if lane == LARGE else {}
    task = await cluster.submit(name, SIZES[lane], bytes_per_s=BYTES_PER_S, options=options)
    node = await cluster.witness.runs_on(task)
    await cluster.witness.has_bytes(task, ENOUGH)
    before = len(cluster.origin.starts(name))
    broken_at = time.time()
    for child in cluster.node(node).children():
        child.send_signal(signal.SIGKILL if how == KILLED else signal.SIGSTOP)

    def resumed() -> float | None:
        """When it asked for the rest: without a control file it asks from 0 first, to learn the length."""
        later = [asked for asked in cluster.origin.by_aria2(name)[before:] if asked.start > 0]
        return later[0].at if later else None

    resumed_at = await eventually(resumed, within_s=GIVE_UP_AFTER_S, what=f"aria2c asks for the rest of {name}")
    cluster.origin.bodies[name].hurry()
    await cluster.witness.sees(task, "finished")
    return Resumed(resumed_at - broken_at, task, cluster.origin.starts(name)[-1])


async def broker_back_s(cluster: Cluster, name: str) -> float:
    """Kill the broker and start it: seconds from its own `Server is ready` to the end of a task submitted then."""
    cluster.broker.kill()
    await cluster.start(cluster.broker.name)
    ready_at = time.time()
    task = await cluster.submit(name, 1000)
    return (await cluster.witness.sees(task, "finished")).stored_at - ready_at


async def leads_after_s(cluster: Cluster, how: str) -> float:
    """Kill or freeze the leader: seconds until the standby has taken over. Then the old one stands by."""
    old, new = cluster.leader, cluster.standby
    broken_at = time.time()
    if how == FROZEN:
        async with frozen_leader(cluster):
            return said_at(new, TOOK_OVER) - broken_at
    terms = new.log.count(TOOK_OVER)
    old.kill()
    await eventually(lambda: new.log.count(TOOK_OVER) > terms, within_s=GIVE_UP_AFTER_S, what=f"{new} leads")
    took_s = said_at(new, TOOK_OVER) - broken_at
    await cluster.start(old.name)
    return took_s


@asynccontextmanager
async def frozen_leader(cluster: Cluster) -> AsyncIterator[None]:
    """Freeze the leader until the end of the block, which begins when the standby leads; then it stands by."""
    old, new = cluster.leader, cluster.standby
    terms = new.log.count(TOOK_OVER)
    old.freeze()
    try:
        await eventually(lambda: new.log.count(TOOK_OVER) > terms, within_s=GIVE_UP_AFTER_S, what=f"{new} leads")
        yield
    finally:
        old.thaw()
    await eventually(lambda: _stands_by(old), within_s=GIVE_UP_AFTER_S, what=f"{old} stands by")


def said_at(process: Process, event: str) -> float:
    """When a process said this last, by its own log: Unix seconds."""
    for line in reversed(process.log.splitlines()):
        said = json.loads(line)
        if said["event"] == event:
            return datetime.fromisoformat(said["timestamp"]).timestamp()
    raise AssertionError(f"{process} never said {event!r}")


def _stands_by(process: Process) -> bool:
    return process.log.rfind("no longer leading") > process.log.rfind(TOOK_OVER)
