"""An asyncio loop without a machine under it: virtual time, seeded dice, and processes that freeze and die.

Order: within one process callbacks run first in, first out, as asyncio promises and anyio relies on; which *process*
runs next is thrown by dice, and everything between processes takes a time that is thrown by dice too (see `net`).
Time stands still while anything can run and then jumps to the next timer.
"""

import asyncio
import contextvars
import heapq
import random
from asyncio import events
from collections import deque
from collections.abc import Callable
from typing import Any

STEPS_MAX = 400_000
"""Callbacks in one schedule: a hundred times what a small world takes, so that one that spins is found."""
BEGINS_AT_S = 1000.0
"""The machine has been up for a while: code that takes 0 for 'never' is not flattered."""
RESOLUTION_S = 1e-9


class Stuck(Exception):
    """Nothing is ready and no timer is set, or it never ends. The message lists what the tasks wait for."""


class Process:
    """Callbacks that freeze and die together, as those of one operating system process do."""

    def __init__(self, loop: "SimLoop", name: str) -> None:
        self._loop = loop
        self.name = name
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)
        self.ready: deque[events.Handle] = deque()
        self.is_queued = False
        """Whether the loop has it among those that can run."""
        self.is_frozen = False
        self.is_dead = False
        self.steps = 0
        self.dies_at = -1
        """After so many callbacks; -1: not set."""
        self.died: Callable[[Process], None] = lambda process: None
        self._kept: list[object] = []

    def __repr__(self) -> str:
        state = "dead" if self.is_dead else "frozen" if self.is_frozen else "running"
        return f"<Process {self.name} {state}>"

    @property
    def is_running(self) -> bool:
        return not (self.is_dead or self.is_frozen)

    def freeze(self) -> None:
        """Nothing of it runs while time goes on, as after SIGSTOP."""
        self.is_frozen = True

    def thaw(self) -> None:
        """What became due meanwhile runs now, in its order."""
        self.is_frozen = False
        self._loop.queue(self)

    def die_soon(self, steps: int) -> None:
        """Die after so many more callbacks: between any two of them, which is at any await."""
        self.dies_at = self.steps + steps

    def die(self) -> None:
        """As after SIGKILL: nothing of it ever runs again, no `finally` either."""
        if self.is_dead:
            return
        self.is_dead = True
        self.ready.clear()
        # Coroutines that are collected run their `finally` blocks: not before the world is over.
        self._kept.extend(asyncio.all_tasks(self._loop))
        self.died(self)


PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("process")
"""Whose callback runs; inherited by every task and timer that it makes."""


class SimLoop(asyncio.BaseEventLoop):
    """Runs callbacks by virtual time and by dice. It has no sockets, threads, signals or subprocesses."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.steps = 0
        self.ticked: Callable[[], None] | None = None
        self._dice = dice
        self._now = BEGINS_AT_S
        self._runnable: list[Process] = []
        self._timers: list[tuple[float, int, events.TimerHandle]] = []
        self._timer_count = 0
        self.nobody = Process(self, "world")
        """The network, the broker and the fates: what belongs to no process."""

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> events.Handle:
        handle = events.Handle(callback, args, self, context)
        process = self._process_of(handle)
        if not process.is_dead:
            process.ready.append(handle)
            if not process.is_queued and not process.is_frozen:
                process.is_queued = True
                self._runnable.append(process)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> events.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> events.TimerHandle:
        handle = events.TimerHandle(when, callback, args, self, context)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self._timer_count, handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> events.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def queue(self, process: Process) -> None:
        """It may run again."""
        if process.ready and not process.is_queued and process.is_running:
            process.is_queued = True
            self._runnable.append(process)

    def _process_of(self, handle: events.Handle) -> Process:
        return handle._context.get(PROCESS, self.nobody)  # type: ignore[attr-defined,no-any-return]

    def _timer_handle_cancelled(self, handle: events.TimerHandle) -> None:
        """Cancelled timers are passed over when their time comes."""

    def _run_once(self) -> None:
        """Called again and again by `run_forever`: one callback of one process."""
        if not self._runnable:
            self._advance()
        runnable = self._runnable
        count = len(runnable)
        index = int(self._dice.random() * count) if count > 1 else 0
        process = runnable[index]
        if process.is_running and process.ready:
            handle = process.ready.popleft()
            if not handle._cancelled:
                process.steps += 1
                if process.steps == process.dies_at:
                    process.die()
                else:
                    self.steps += 1
                    handle._run()
                    if self.ticked is not None:
                        self.ticked()
        if not process.ready or not process.is_running:
            process.is_queued = False
            runnable[index] = runnable[-1]
            runnable.pop()
        if self.steps > STEPS_MAX:
            raise Stuck(f"more than {STEPS_MAX} steps:\n{self.describe()}")

    def _advance(self) -> None:
        """Jump to the next timer that somebody can act on."""
        timers = self._timers
        while timers and not self._runnable:
            if timers[0][0] > self._now:
                self._now = timers[0][0]
            while timers and timers[0][0] <= self._now + RESOLUTION_S:
                handle = heapq.heappop(timers)[2]
                if not handle._cancelled:
                    self._due(handle)
        if not self._runnable:
            raise Stuck(f"nothing is ready and no timer is set:\n{self.describe()}")

    def _due(self, handle: events.TimerHandle) -> None:
        process = self._process_of(handle)
        if not process.is_dead:
            process.ready.append(handle)
            self.queue(process)

    def describe(self) -> str:
        """Every task and where it waits."""
        lines = []
        for task in sorted(asyncio.all_tasks(self), key=lambda one: one.get_name()):
            stack = task.get_stack(limit=1)
            where = f"{stack[-1].f_code.co_qualname}:{stack[-1].f_lineno}" if stack else "not begun"
            lines.append(f"  {task.get_name()}: {where}")
        return "\n".join(lines)

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""
