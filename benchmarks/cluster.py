"""What the measurements run on: a cluster of real processes with default security, and an origin beside it."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio

from benchmarks import usage
from broker.cluster import Client, open_client
from broker.exchange import Ask
from broker.listen import Heard, listening
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.ids import DEFAULT_OWNER, task_id
from schemas.request import Request
from tools.cluster import Cluster, ClusterPlan, running_cluster

NODES = 2
SLOTS = 8
IN_FLIGHT = 256
"""Submissions that wait for the inbox at once."""
END_WITHIN_S = 300.0
COMPLETED = "finished.completed"


CHECKOUT = Path(__file__).resolve().parent.parent


class Bench:
    """A running cluster with a client that submits and hears every outcome."""

    def __init__(self, cluster: Cluster, client: Client, origin: str, folder: Path) -> None:
        self.cluster = cluster
        self.client = client
        self.origin = origin
        self.folder = folder
        self.heard: Callable[[str, float], None] = lambda task, moment: None
        """Told each completed task and the moment it was heard of."""

    def usage(self) -> usage.Usage:
        """Of the broker, the coordinator and the nodes with their aria2c."""
        return usage.of(pid for name, pid in self.cluster.describe().pids.items() if name != "up")

    async def submit_all(self, requests: list[Request]) -> None:
        """Store the requests, many at once."""
        for start in range(0, len(requests), IN_FLIGHT):
            asks = [Ask(s.REQUESTS, codec.encode(request)) for request in requests[start : start + IN_FLIGHT]]
            for fate in await self.client.connection.store_all(asks):
                assert isinstance(fate, int), fate

    async def run(self, requests: list[Request]) -> float:
        """Submit and wait until all are completed; seconds from the first submission to the last outcome."""
        left = {task_id(DEFAULT_OWNER, f"id:{request.id}") for request in requests}
        done = anyio.Event()
        last = 0.0

        def heard(task: str, moment: float) -> None:
            nonlocal last
            left.discard(task)
            last = moment
            if not left:
                done.set()

        self.heard = heard
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(self.submit_all, requests)
            with anyio.fail_after(END_WITHIN_S):
                await done.wait()
        return last - began

    def hear(self, heard: Heard) -> None:
        task, kind, _ = s.parse_event(heard.subject)
        if kind != COMPLETED:
            raise RuntimeError(f"a task of a measurement did not complete: {heard.data!r}")
        self.heard(task, time.monotonic())


def fresh_id() -> str:
    """For a request that is no repeat of any."""
    return uuid4().hex


@asynccontextmanager
async def bench_cluster(
    folder: Path, *, sync_interval: str = "1s", nodes: int = NODES, slots: int = SLOTS, gateway: bool = False
) -> AsyncIterator[Bench]:
    """Nodes of so many slots, one coordinator, one nats-server with the streams on disk as in production."""
    folder.mkdir(parents=True, exist_ok=True)
    async with _origin(folder) as origin:
        plan = ClusterPlan(
            data=folder / "downdraft-data",
            downloads=folder / "downloads",
            nodes=nodes,
            slots=slots,
            nats_port=0,
            gateway_port=0 if gateway else None,
            sync_interval=sync_interval,
            allow_nets=("127.0.0.0/8",),
            environment={"DOWNDRAFT_COORDINATOR_ALLOW_NOOP": "true"},
        )
        async with (
            running_cluster(plan) as cluster,
            open_client(cluster.url, str(cluster.creds(Role.OPERATOR))) as client,
        ):
            bench = Bench(cluster, client, origin, folder)
            async with listening(client.connection, s.OUTCOMES_ALL, bench.hear):
                yield bench


@asynccontextmanager
async def _origin(folder: Path) -> AsyncIterator[str]:
    """The origin process; its base address."""
    files = folder / "files"
    files.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.origin", "--folder", str(files)]
    async with await anyio.open_process(command, stdin=subprocess.PIPE, stderr=None) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(await process.stdout.receive())}"
        finally:
            process.kill()
