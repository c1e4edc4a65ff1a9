"""Blocking work in a few threads, with one trip to a thread for all that waits.

A trip costs more than most of the work it is made for: when many small files turn over, they share it.
"""

import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from anyio.abc import TaskGroup

T = TypeVar("T")

TRIP_JOBS_MAX = 8
"""More would let one thread work while the others idle."""


class _Job:
    """One piece of work and what became of it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.done = anyio.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error


class Hands:
    """A fixed number of threads, each fetching what waits."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._limiter = CapacityLimiter(count)
        # Unbounded here: who asks waits for the answer, so there are no more jobs than sessions.
        self._send, self._jobs = anyio.create_memory_object_stream[_Job](math.inf)

    def __repr__(self) -> str:
        return f"<Hands {self._count} threads, {self._jobs.statistics().current_buffer_used} jobs wait>"

    def start(self, tasks: TaskGroup) -> None:
        """Work until the group is cancelled."""
        for _ in range(self._count):
            tasks.start_soon(self._fetch)

    async def do(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread; what it raises is raised here. A caller that is cancelled leaves it to run."""
        job = _Job(work)
        self._send.send_nowait(job)
        await job.done.wait()
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    async def _fetch(self) -> NoReturn:
        while True:
            jobs = [await self._jobs.receive()]
            more = min(TRIP_JOBS_MAX - 1, self._jobs.statistics().current_buffer_used // self._count)
            jobs += [self._jobs.receive_nowait() for _ in range(more)]
            await anyio.to_thread.run_sync(_run, jobs, limiter=self._limiter)
            for job in jobs:
                job.done.set()


def _run(jobs: list[_Job]) -> None:
    for job in jobs:
        job.run()
