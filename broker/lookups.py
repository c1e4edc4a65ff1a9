"""Name look-ups that nobody waits for at the end.

A loop does them in threads, and waits for those as it closes: with a broker that is away, and a resolver that takes its
time to say so, a process that was told to stop would go on for as long.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore, Thread
from typing import Any

AT_ONCE_MAX = 32
"""What the standard executor has at most."""


class _Abandoning(ThreadPoolExecutor):
    """Runs each call in a daemon thread, and forgets those that still run when it is shut down."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # never used: its threads would be waited for
        self._room = BoundedSemaphore(AT_ONCE_MAX)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()

        def run() -> None:
            with self._room:
                if not future.set_running_or_notify_cancel():
                    return
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        Thread(target=run, name="look-up", daemon=True).start()
        return future


def abandon_at_the_end() -> None:
    """Let the running loop look names up so that its end waits for none of them."""
    asyncio.get_running_loop().set_default_executor(_Abandoning())
