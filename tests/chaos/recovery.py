"""How long it takes until somebody else does the work: the same steps for the tests and for the benchmark."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from tests.chaos.cluster import Cluster
from tests.chaos.process import Process
from tests.harness.waiting import eventually

KILLED, FROZEN = "killed", "frozen"
BREAKS = (KILLED, FROZEN)
TOOK_OVER = "took over"
"""What a coordinator logs when it begins to place."""
GIVE_UP_AFTER_S = 60.0


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
