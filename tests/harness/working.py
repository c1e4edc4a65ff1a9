"""A real node inside the test's own loop, with a real aria2c."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from broker.roles import Role
from node.main import run_node
from schemas.settings import NatsSettings, NodeSettings, Settings
from tests.harness.broker import QUICK, Broker


@asynccontextmanager
async def working_node(broker: Broker, folder: Path, name: str = "node-1", **node: Any) -> AsyncIterator[None]:
    """A node for the length of the block, that may download from loopback; told to stop at its end, it gives back."""
    settings = Settings(
        nats=NatsSettings(url=broker.url, creds=broker.creds(Role.NODE, name)),
        coordinator=QUICK,
        node=NodeSettings(
            id=name,
            downloads=str(folder / "downloads"),
            state=str(folder / "state"),
            allow_nets=("127.0.0.0/8",),
            **{"disk_low": 0, "disk_high": 0} | node,
        ),
    )
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_node, settings, stop)
        try:
            yield
        finally:
            stop.set()
