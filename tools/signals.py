"""Ending on request: SIGTERM and SIGINT."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Thread
from typing import TypeVarTuple, Unpack

import anyio
import anyio.from_thread
import anyio.lowlevel

Arguments = TypeVarTuple("Arguments")

ON_WINDOWS = os.name == "nt"
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@asynccontextmanager
async def told_to_stop(again: anyio.Event | None = None) -> AsyncIterator[anyio.Event]:
    """An event that is set at the first signal. A second one sets `again`, or without that cancels the block."""
    told = anyio.Event()
    async with anyio.create_task_group() as tasks:

        def tell() -> None:
            if not told.is_set():
                told.set()
            elif again is not None:
                again.set()
            else:
                tasks.cancel_scope.cancel()

        async def listen() -> None:
            with anyio.open_signal_receiver(*SIGNALS) as received:
                async for _ in received:
                    tell()

        if ON_WINDOWS:
            with _handled(tell):  # there event loops know no signals
                yield told
        else:
            tasks.start_soon(listen)
            yield told
        tasks.cancel_scope.cancel()


@contextmanager
def _handled(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` in the event loop with each signal, by handlers of the interpreter's own."""
    token = anyio.lowlevel.current_token()

    def told(*_: object) -> None:
        Thread(target=anyio.from_thread.run_sync, args=(tell,), kwargs={"token": token}, daemon=True).start()

    before = {number: signal.signal(number, told) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def until_told(work: Callable[[Unpack[Arguments]], Awaitable[object]], *arguments: *Arguments) -> None:
    """Run `work` until the process is told to stop, then cancel it. Work that fails takes its error out."""
    async with told_to_stop() as told, anyio.create_task_group() as tasks:

        async def run() -> None:
            await work(*arguments)
            tasks.cancel_scope.cancel()

        tasks.start_soon(run)
        await told.wait()
        tasks.cancel_scope.cancel()
