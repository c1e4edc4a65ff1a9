"""A lane without an aria2c: downloads take simulated time, fail as their origins say, and vanish with the daemon."""

import asyncio
import random
from typing import NoReturn

import anyio
from msgspec import Struct

from node.crashes import PAUSE_S
from node.daemon import Lane
from node.lane import LaneDriver
from node.news import Listener, News
from node.session import Signal
from node.transfers import Addition
from schemas.task import FailureClass
from tests.sim.disk import ATTEMPT, Disk
from tests.sim.origins import Origins, Trouble
from tests.sim.running import Running

TURN_S = (0.005, 0.05)
"""How long aria2c takes to be asked and to answer."""


class _Transfer(Struct):
    """One download that aria2c works on."""

    attempt: int
    began_at: float
    began_with: float
    """Share of the file that was there."""
    seconds: float
    """For the whole file."""
    ends: asyncio.TimerHandle
    trouble: Trouble | None


class SimLane(LaneDriver):
    """What the agent sees of a lane: `add`, `remove`, `set_slots` in, signals out."""

    def __init__(
        self,
        lane: Lane,
        slots: int,
        *,
        disk: Disk,
        origins: Origins,
        running: Running,
        dice: random.Random,
        listener: Listener,
    ) -> None:
        self.lane = lane
        self.transfers = {}
        self.bytes_per_s = 0
        self.trouble = ""
        self.looked_before = 0.0
        self._slots = slots
        self._disk, self._origins, self._dice, self._tell = disk, origins, dice, listener
        self._all_running = running
        self._to_add: dict[str, Addition] = {}
        self._to_remove: dict[str, None] = {}
        self._waiting: dict[str, Addition] = {}
        self._active: dict[str, _Transfer] = {}
        self._over: list[News] = []
        self._wake = anyio.Event()
        self._life = anyio.CancelScope()
        self._frozen_for_s = 0.0

    def __repr__(self) -> str:
        return f"<SimLane {self.lane}: {len(self._active)} active, {len(self._waiting)} waiting>"

    @property
    def is_busy(self) -> bool:
        return bool(self._active)

    @property
    def pid(self) -> int | None:
        return None

    def add(self, addition: Addition) -> None:
        self._to_add[addition.gid] = addition
        self._wake.set()

    def remove(self, task: str) -> None:
        if self._to_add.pop(task, None) is not None or task not in self._holding():
            self._tell([News(task, Signal.VANISHED)])
            return
        self._to_remove[task] = None
        self._wake.set()

    def forget(self, task: str) -> None:
        """No watch over stalls here: a simulated download ends by itself."""

    def await_slot(self, *, is_awaited: bool) -> None:
        """Ends are told at once anyway."""

    def set_slots(self, slots: int) -> None:
        if slots != self._slots:
            self._slots = slots
            self._wake.set()

    def kill(self) -> None:
        self.breaks()

    def breaks(self, frozen_for_s: float = 0.0) -> None:
        """aria2c dies, noticed at once; or stands still and is replaced after so long."""
        self._frozen_for_s = frozen_for_s
        for task in tuple(self._active):
            self._waiting[task] = Addition(task, (), {})
            self._stop(task)
        self._life.cancel()

    def died(self) -> None:
        """The node's process was killed and aria2c with it: what is staged stays."""
        for task in tuple(self._active):
            self._stop(task)

    async def run(self) -> NoReturn:
        while True:
            with anyio.CancelScope() as self._life:
                await self._drive_on()
            await anyio.sleep(self._frozen_for_s)
            held = self._holding()
            self._waiting.clear()
            self._to_remove.clear()
            self._over.clear()
            self._tell([News(task, Signal.VANISHED) for task in held])
            await anyio.sleep(PAUSE_S)

    async def _drive_on(self) -> NoReturn:
        while True:
            await self._wake.wait()
            await anyio.sleep(self._dice.uniform(*TURN_S))
            self._wake = anyio.Event()
            self._ask()

    def _holding(self) -> list[str]:
        return [*self._active, *self._waiting, *(news.task for news in self._over)]

    def _ask(self) -> None:
        """Take back, hand over and look, as one request to aria2c does."""
        news, self._over = self._over, []
        ended = {one.task for one in news}
        for task in self._to_remove:
            if task not in ended:
                self._waiting.pop(task, None)
                if task in self._active:
                    self._stop(task)
                news.append(News(task, Signal.VANISHED))
        self._to_remove.clear()
        for task, addition in self._to_add.items():
            self._waiting[task] = addition
            news.append(News(task, Signal.ADDED))
        self._to_add.clear()
        for task in tuple(self._waiting):
            if len(self._active) < self._slots:
                self._start(self._waiting.pop(task))
                news.append(News(task, Signal.STARTED))
        self._tell(news)

    def _start(self, addition: Addition) -> None:
        task = addition.gid
        origin = self._origins.of(addition.uris[0])
        trouble = origin.next_trouble()
        share = self._disk.partial.get(task, 0.0)
        left = max(0.0, (trouble.at if trouble is not None else 1.0) - share) * origin.seconds
        loop = asyncio.get_running_loop()
        attempt = int(str(addition.options[ATTEMPT]))
        ends = loop.call_later(left, self._finished, task)
        self._active[task] = _Transfer(attempt, loop.time(), share, origin.seconds, ends, trouble)
        self._all_running.begins(task, attempt, self)

    def _stop(self, task: str) -> _Transfer:
        """It does not run any more: what it has got so far is on the disk."""
        transfer = self._active.pop(task)
        transfer.ends.cancel()
        now = self._all_running.now()
        got = transfer.began_with + (now - transfer.began_at) / transfer.seconds
        self._disk.partial[task] = min(1.0, got)
        self._all_running.ends(task, transfer.attempt, self)
        return transfer

    def _finished(self, task: str) -> None:
        transfer = self._stop(task)
        if transfer.trouble is None:
            self._disk.partial[task] = 1.0
            self._over.append(News(task, Signal.WHOLE))
        elif transfer.trouble.failure is FailureClass.DAMAGED:
            self._disk.partial[task] = 1.0
            self._disk.damaged.add(task)
            self._over.append(News(task, Signal.WHOLE))
        else:
            self._over.append(News(task, Signal.FAILED, transfer.trouble.verdict()))
        self._wake.set()
