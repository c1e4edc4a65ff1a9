"""The storm itself: strikes what the plan names, and lets go of what it froze."""

import signal
import time
from collections.abc import Sequence
from contextlib import suppress

import anyio
import psutil

from tools.drill.plan import LEADER, OF_COORDINATORS, Fault
from tools.drill.stage import Stage
from tools.drill.story import Story

LOOK_EVERY_S = 0.1
AWAITED_S = 3.0
"""A target that has not recovered is waited for so long; then it is spared."""

BACK_WITHIN_S = 60.0
"""What was killed and does not run again by then never will: the books will tell."""


class Storm:
    """Carries out a plan."""

    def __init__(self, stage: Stage, story: Story) -> None:
        self._stage = stage
        self._story = story
        self._frozen: set[psutil.Process] = set()

    async def rage(self, faults: Sequence[Fault]) -> None:
        """Strike each at its moment; returns when nothing is frozen any more. Cancelled, it lets go of everything."""
        try:
            async with anyio.create_task_group() as tasks:
                for fault in faults:
                    await anyio.sleep(max(0.0, self._story.began_at + fault.at_s - time.time()))
                    tasks.start_soon(self._strike, fault)
        finally:
            for process in tuple(self._frozen):
                self._thaw(process)

    async def _strike(self, fault: Fault) -> None:
        target, process = self._target(fault), None
        with anyio.move_on_after(AWAITED_S):
            while self._rests(target) or (process := self._stage.process(target)) is None:
                await anyio.sleep(LOOK_EVERY_S)
        if process is None:
            self._story.spared += 1
            return
        try:
            process.send_signal(signal.SIGSTOP if fault.kind.freezes else signal.SIGKILL)
        except psutil.NoSuchProcess:
            self._story.spared += 1
            return
        number = self._story.hit(fault, target)
        if fault.kind.freezes:
            self._frozen.add(process)
            with anyio.move_on_after(min(fault.for_s, self._story.seconds - self._story.seconds_in)):
                # The node may replace a frozen aria2c meanwhile.
                await self._until_another(target, process)
            self._thaw(process)
        else:
            with anyio.move_on_after(BACK_WITHIN_S):
                await self._until_another(target, process)
        self._story.back(number)

    def _rests(self, target: str) -> bool:
        """Whether it is to be left alone for now.

        What was struck may recover first, and one node at least always works: on a slow machine the storm is milder.
        """
        recovering = {struck.target for struck in self._story.recovering}
        if target in self._stage.coordinators:
            return not recovering.isdisjoint(self._stage.coordinators)
        working = [node for node in self._stage.nodes if node not in recovering]
        node, _, lane = target.partition("/")
        if node in self._stage.nodes:
            return target in recovering or node not in working or (not lane and len(working) < 2)
        return target in recovering

    async def _until_another(self, target: str, process: psutil.Process) -> None:
        while (now := self._stage.process(target)) is None or now == process:
            await anyio.sleep(LOOK_EVERY_S)

    def _target(self, fault: Fault) -> str:
        """Who is meant, by name."""
        if fault.kind not in OF_COORDINATORS:
            return fault.target
        leader = self._story.leader or self._stage.coordinators[0]
        others = [name for name in self._stage.coordinators if name != leader]
        return leader if fault.target == LEADER or not others else others[0]

    def _thaw(self, process: psutil.Process) -> None:
        self._frozen.discard(process)
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
