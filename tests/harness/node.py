"""A whole node inside the test's own loop, with aria2c children of its own, and a coordinator to feed it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
from msgspec.structs import replace

from broker.roles import Role
from node.main import run_node
from schemas.event import AnyEvent, AttemptFailed
from schemas.ids import TaskId
from schemas.request import STAGING_NAME
from schemas.settings import CoordinatorSettings, NatsSettings, NodeSettings, Settings
from tests.harness.broker import QUICK, Broker
from tests.harness.leader import coordinator
from tests.harness.producing import Producer, producer
from tests.harness.recorder import Recorder, recording
from tests.harness.waiting import eventually

PATIENT = replace(QUICK, node_lost_after_s=10.0, lease_ttl_s=5)
"""Quick to try again, slow to think anybody dead."""


class Rig:
    """One node that works, who submits to it and who watches."""

    def __init__(self, folder: Path, name: str, submitter: Producer, recorder: Recorder) -> None:
        self.name = name
        self.downloads = folder / "downloads"
        self.recorder = recorder
        self._submitter = submitter

    async def submit(self, *uris: str, **fields: Any) -> TaskId:
        return await self._submitter.submit(uris=list(uris), **fields)

    async def outcome(self, task: TaskId, within_s: float = 30) -> AnyEvent:
        return await self.recorder.outcome(task, within_s)

    def failures(self, task: TaskId) -> list[AttemptFailed]:
        return [event for event in self.recorder.of(task) if isinstance(event, AttemptFailed)]

    async def failure(self, task: TaskId, within_s: float = 20) -> AttemptFailed:
        """Wait until an attempt has failed."""
        found = await eventually(lambda: self.failures(task), within_s=within_s, what=f"a failed attempt of {task}")
        return found[0]

    def staged(self, task: TaskId) -> Path:
        return self.downloads / STAGING_NAME / task

    async def partial(self, task: TaskId, least: int, within_s: float = 15) -> int:
        """Wait until so many bytes of a download are on the disk."""
        data = self.staged(task) / "data"
        return await eventually(
            lambda: size if data.exists() and (size := data.stat().st_size) >= least else 0,
            within_s=within_s,
            what=f"{least} bytes of {task}",
        )

    def aria2c(self, lane: str) -> psutil.Process | None:
        """The daemon of a lane."""
        for child in psutil.Process().children():
            try:
                if any(f"aria2-{lane}.conf" in part for part in child.cmdline()) and self._is_ours(child):
                    return child
            except psutil.Error:
                continue
        return None

    def _is_ours(self, child: psutil.Process) -> bool:
        return any(part == f"--dir={self.downloads}" for part in child.cmdline())


@asynccontextmanager
async def running_node(
    broker: Broker,
    folder: Path,
    name: str = "node-1",
    *,
    clocks: CoordinatorSettings = PATIENT,
    url: str = "",
    **fields: Any,
) -> AsyncIterator[anyio.Event]:
    """A node with these settings for the length of the block, cut short at its end unless the event is set.

    `url`: of the broker, where it is reached another way.
    """
    node = NodeSettings(
        **{
            "id": name,
            "downloads": str(folder / "downloads"),
            "state": str(folder / "state"),
            "allow_nets": ("127.0.0.0/8",),
        }
        | fields
    )
    nats = NatsSettings(url=url or broker.url, creds=broker.creds(Role.NODE, name))
    leave = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_node, Settings(nats=nats, coordinator=clocks, node=node), leave)
        try:
            yield leave
        finally:
            if not leave.is_set():
                tasks.cancel_scope.cancel()


@asynccontextmanager
async def working_node(broker: Broker, folder: Path, name: str = "node-1", **fields: Any) -> AsyncIterator[None]:
    """A node on short clocks with any room on its disk, that gives back what it holds at the end of the block."""
    room = {"disk_low": 0, "disk_high": 0}
    async with running_node(broker, folder, name, clocks=QUICK, **room | fields) as leave:
        try:
            yield
        finally:
            leave.set()


@asynccontextmanager
async def rig(broker: Broker, folder: Path, name: str = "node-1", **fields: Any) -> AsyncIterator[Rig]:
    """A coordinator on short clocks and one node."""
    async with (
        coordinator(broker, settings=PATIENT),
        producer(broker) as submitter,
        recording(broker) as recorder,
        running_node(broker, folder, name, **fields),
    ):
        yield Rig(folder, name, submitter, recorder)
