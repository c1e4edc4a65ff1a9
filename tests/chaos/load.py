"""Work for a cluster while something else is broken: small downloads, one after another, until the block ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tests.chaos.cluster import Cluster

EVERY_S = 0.1
SIZE = 200_000


@asynccontextmanager
async def steady_load(
    cluster: Cluster, *, every_s: float = EVERY_S, bytes_per_s: float = 0
) -> AsyncIterator[list[str]]:
    """Submit all the while, as a producer that keeps trying; the tasks so far."""
    tasks: list[str] = []
    ending = anyio.Event()

    async def submit() -> None:
        while not ending.is_set():
            tasks.append(await cluster.submit(f"load-{len(tasks)}", SIZE, bytes_per_s=bytes_per_s))
            with anyio.move_on_after(every_s):
                await ending.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(submit)
        yield tasks
        ending.set()
