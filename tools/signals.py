"""Ending on request: SIGTERM and SIGINT."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVarTuple, Unpack

import anyio

Arguments = TypeVarTuple("Arguments")


@asynccontextmanager
async def told_to_stop(again: anyio.Event | None = None) -> AsyncIterator[anyio.Event]:
    """An event that is set at the first signal. A second one sets `again`, or without that cancels the block."""
    told = anyio.Event()
    async with anyio.create_task_group() as tasks:

        async def listen() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
                async for _ in received:
                    if not told.is_set():
                        told.set()
                    elif again is not None:
                        again.set()
                    else:
                        tasks.cancel_scope.cancel()

        tasks.start_soon(listen)
        yield told
        tasks.cancel_scope.cancel()


async def until_told(work: Callable[[Unpack[Arguments]], Awaitable[object]], *arguments: *Arguments) -> None:
    """Run `work` until the process is told to stop, then cancel it. Work that fails takes its error out."""
    async with told_to_stop() as told, anyio.create_task_group() as tasks:

        async def run() -> None:
            await work(*arguments)
            tasks.cancel_scope.cancel()

        tasks.start_soon(run)
        await told.wait()
        tasks.cancel_scope.cancel()
