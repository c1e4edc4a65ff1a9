"""One lane at work: a daemon kept alive, and one multicall a tick that hands over, takes back and looks."""

from collections.abc import Callable
from typing import NoReturn

import anyio
import structlog
from anyio import CapacityLimiter

from node.aria2 import Addition, Aria2, Aria2Error, Status, Tick, Transfer
from node.daemon import Daemon, DaemonFailed, Lane
from node.failures import Verdict, classify
from node.session import Signal
from schemas.task import FailureClass

log = structlog.get_logger()

TICK_S = {Lane.SMALL: 0.05, Lane.LARGE: 0.2}
"""While transfers run: small files turn over in milliseconds, large ones are worth looking at less often."""
IDLE_TICK_S = 2.0
"""With nothing to do the daemon is still asked, so that a dead or frozen one is replaced before it is needed."""
RESTART_PAUSE_S = 0.5

Listener = Callable[[str, Signal, Verdict | None], None]
"""Told what became of a task's transfer; the verdict with `failed`."""


class LaneDriver:
    """Keeps one aria2c in step with what the agent asked of it."""

    def __init__(self, daemon: Daemon, limiter: CapacityLimiter, listener: Listener) -> None:
        self.lane = daemon.lane
        self.transfers: dict[str, Transfer] = {}
        """As of the last tick."""
        self.bytes_per_s = 0
        self._daemon = daemon
        self._limiter = limiter
        self._tell = listener
        self._slots = daemon.slots
        self._additions: dict[str, Addition] = {}
        self._removals: set[str] = set()
        self._held: set[str] = set()
        self._started: set[str] = set()
        self._wake = anyio.Event()

    def __repr__(self) -> str:
        return f"<LaneDriver {self.lane}: {len(self._held)} held, {self._daemon!r}>"

    @property
    def pid(self) -> int | None:
        return self._daemon.pid

    def add(self, addition: Addition) -> None:
        """Hand it to aria2 with the next tick: `added` or `failed` will follow."""
        self._additions[addition.gid] = addition
        self._wake.set()

    def remove(self, task: str) -> None:
        """Take it back: `vanished` will follow, unless it was whole or failed first."""
        if self._additions.pop(task, None) is not None or task not in self._held:
            self._tell(task, Signal.VANISHED, None)
            return
        self._removals.add(task)
        self._wake.set()

    def set_slots(self, slots: int) -> None:
        """How many may run at once."""
        if slots != self._slots:
            self._slots = slots
            self._wake.set()

    async def run(self) -> NoReturn:
        """Drive until cancelled; a daemon that dies, freezes or talks nonsense is replaced."""
        async with self._daemon:
            while True:
                try:
                    await self._daemon.start()
                    log.info("aria2c started", lane=str(self.lane), pid=self._daemon.pid)
                    client = Aria2(self._daemon.port, self._daemon.secret, self._limiter)
                    try:
                        await self._drive(client)
                    finally:
                        client.close()
                except (DaemonFailed, OSError) as error:
                    log.warning("aria2c did not start", lane=str(self.lane), problem=str(error))
                    self._turn_away(str(error))
                except Aria2Error as error:
                    log.warning("aria2c is replaced", lane=str(self.lane), problem=str(error))
                self._daemon.kill()
                await self._daemon.wait()
                self._forget_all()
                await anyio.sleep(RESTART_PAUSE_S)

    def _turn_away(self, problem: str) -> None:
        """Without a daemon nothing can be added here: another node may do better."""
        waiting, self._additions = self._additions, {}
        for task in waiting:
            self._tell(task, Signal.FAILED, Verdict(FailureClass.NODE, "aria2c", f"aria2c does not start: {problem}"))

    def _forget_all(self) -> None:
        """The daemon is gone and with it all it held; what was still to be added waits for the next one."""
        held, self._held = self._held, set()
        self._started.clear()
        self.transfers, self.bytes_per_s = {}, 0
        self._removals.clear()
        for task in held:
            self._tell(task, Signal.VANISHED, None)

    async def _drive(self, client: Aria2) -> None:
        applied = self._daemon.slots
        while True:
            self._wake = anyio.Event()
            if applied != self._slots:
                applied = self._slots
                await client.set_concurrency(applied)
            await self._hand_over(client)
            if self._removals:
                removals, self._removals = self._removals, set()
                await client.force_remove(sorted(removals))
            await self._look(client, await client.tick())
            with anyio.move_on_after(TICK_S[self.lane] if self._held else IDLE_TICK_S):
                await self._wake.wait()

    async def _hand_over(self, client: Aria2) -> None:
        if not self._additions:
            return
        additions, self._additions = self._additions, {}
        # Held before it is asked: if the answer is lost, the daemon is replaced and these vanish with it.
        self._held |= additions.keys()
        results = await client.add_many(list(additions.values()))
        for task, refused in zip(additions, results, strict=True):
            if refused is None:
                self._tell(task, Signal.ADDED, None)
            else:
                self._held.discard(task)
                self._tell(task, Signal.FAILED, classify("1", str(refused)))

    async def _look(self, client: Aria2, tick: Tick) -> None:
        self.transfers, self.bytes_per_s = tick.transfers, tick.speed
        ended: list[str] = []
        for task in tuple(self._held):
            transfer = tick.transfers.get(task)
            if transfer is not None and transfer.status is not Status.WAITING and task not in self._started:
                self._started.add(task)
                self._tell(task, Signal.STARTED, None)
            signal, verdict = _meaning(transfer)
            if signal is None:
                continue
            self._held.discard(task)
            self._started.discard(task)
            if transfer is not None:
                ended.append(task)
            self._tell(task, signal, verdict)
        if ended:
            await client.forget(ended)


def _meaning(transfer: Transfer | None) -> tuple[Signal | None, Verdict | None]:
    """What a transfer's state says of its end; (None, None) while it goes on."""
    if transfer is None or transfer.status is Status.REMOVED:
        return Signal.VANISHED, None
    if transfer.status is Status.COMPLETE:
        return Signal.WHOLE, None
    if transfer.status is Status.ERROR:
        return Signal.FAILED, classify(transfer.error_code, transfer.error_message)
    return None, None
