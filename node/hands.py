"""Blocking work in a few threads, with one trip to a thread for all that waits.

A trip costs more than most of the work it is made for: when many small files turn over, they share it.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

import anyio
import anyio.to_thread
import structlog
from anyio import CapacityLimiter
from anyio.abc import TaskGroup

log = structlog.get_logger()

T = TypeVar("T")

TRIP_JOBS_MAX = 8
"""More would let one thread work while the others idle."""
ERRANDS_MAX = 16
"""So many are worth a trip of their own."""
ERRANDS_WITHIN_S = 1.0


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
        # Not bounded here: who asks waits for the answer, so there are no more jobs than sessions.
        self._jobs: deque[_Job] = deque()
        self._errands: deque[Callable[[], object]] = deque()
        self._idle: deque[anyio.Event] = deque()

    def __repr__(self) -> str:
        return f"<Hands {self._count - len(self._idle)} of {self._count} busy, {len(self._jobs)} jobs wait>"

    def start(self, tasks: TaskGroup) -> None:
        """Work until the group is cancelled."""
        for _ in range(self._count):
            tasks.start_soon(self._fetch)

    async def do(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread; what it raises is raised here. What has begun goes on without a cancelled caller."""
        job = _Job(work)
        self._jobs.append(job)
        self._call_one()
        try:
            await job.done.wait()
        except anyio.get_cancelled_exc_class():
            with suppress(ValueError):
                self._jobs.remove(job)
            raise
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def do_sometime(self, work: Callable[[], object]) -> None:
        """Run `work` with the next trip, or within ERRANDS_WITHIN_S; nobody waits for it. What it raises is logged."""
        self._errands.append(work)
        if len(self._errands) >= ERRANDS_MAX:
            self._call_one()

    def _call_one(self) -> None:
        if self._idle:
            self._idle.popleft().set()

    async def _fetch(self) -> NoReturn:
        while True:
            if not self._jobs and len(self._errands) < ERRANDS_MAX:
                called = anyio.Event()
                self._idle.append(called)
                with anyio.move_on_after(ERRANDS_WITHIN_S):
                    await called.wait()
                if not called.is_set():
                    self._idle.remove(called)
            share = min(TRIP_JOBS_MAX, max(1, len(self._jobs) // self._count), len(self._jobs))
            jobs = [self._jobs.popleft() for _ in range(share)]
            errands = [self._errands.popleft() for _ in range(min(ERRANDS_MAX, len(self._errands)))]
            if jobs or errands:
                await anyio.to_thread.run_sync(_run, jobs, errands, limiter=self._limiter)
            for job in jobs:
                job.done.set()


def _run(jobs: list[_Job], errands: list[Callable[[], object]]) -> None:
    for job in jobs:
        job.run()
    for errand in errands:
        try:
            errand()
        except Exception:  # nobody waits for it: a mistake in one must not end the node
            log.exception("an errand failed")
