"""One lane at work: a daemon kept alive, and one multicall a tick that hands over, takes back and looks."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

import anyio
import structlog
from anyio import CapacityLimiter

from node.aria2 import Addition, Aria2, Aria2Error, Status, Tick, Transfer
from node.daemon import Daemon, DaemonFailed, Lane
from node.failures import Verdict, classify
from node.session import Signal
from schemas.task import FailureClass

log = structlog.get_logger()

TICK_S = {Lane.SMALL: 0.1, Lane.LARGE: 0.2}
"""While transfers run and none began or ended lately."""
QUICK_TICK_S = 0.02
BETWEEN_TURNS_S = 0.02
"""What is added meanwhile shares the next request; the first of an idle lane goes out at once."""
BETWEEN_FULL_S = 0.05
"""… while every slot is taken: what follows waits inside aria2 already, so no slot idles."""
QUICK_FOR_S = 0.2
"""Small files turn over in milliseconds: after each that begins or ends the daemon is asked often for so long."""
IDLE_TICK_S = 2.0
"""With nothing to do the daemon is still asked, so that a dead or frozen one is replaced before it is needed."""
RESTART_PAUSE_S = 0.5
KILLED_WITHIN_S = 2.0
"""One that hangs in a write to a dead disk ends when the disk answers: its tasks need not wait for that."""


class News(NamedTuple):
    """What became of a task's transfer."""

    task: str
    signal: Signal
    verdict: Verdict | None = None
    """With `failed`."""


Listener = Callable[[Sequence[News]], None]


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
        self.looked_before = 0.0
        """When the look before the last one was, monotonic seconds."""
        self._looked_at = 0.0
        self._changed_at = 0.0
        """When a transfer began or ended, monotonic seconds."""
        self._ended: list[str] = []
        """What aria2 may forget with the next turn."""
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
            self._tell([News(task, Signal.VANISHED)])
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
                with anyio.move_on_after(KILLED_WITHIN_S):
                    await self._daemon.wait()
                self._forget_all()
                await self._daemon.wait()
                await anyio.sleep(RESTART_PAUSE_S)

    def _turn_away(self, problem: str) -> None:
        """Without a daemon nothing can be added here: another node may do better."""
        waiting, self._additions = self._additions, {}
        verdict = Verdict(FailureClass.NODE, "aria2c", f"aria2c does not start: {problem}")
        self._tell([News(task, Signal.FAILED, verdict) for task in waiting])

    def _forget_all(self) -> None:
        """The daemon is gone and with it all it held; what was still to be added waits for the next one."""
        held, self._held = self._held, set()
        self._started.clear()
        self.transfers, self.bytes_per_s = {}, 0
        self._removals.clear()
        self._ended.clear()
        self._tell([News(task, Signal.VANISHED) for task in held])

    async def _drive(self, client: Aria2) -> None:
        applied = self._daemon.slots
        while True:
            self._wake = anyio.Event()
            if applied != self._slots:
                applied = self._slots
                await client.set_concurrency(applied)
            began_at = anyio.current_time()
            await self._turn(client)
            with anyio.move_on_after(self._pause_s()):
                await self._wake.wait()
            is_full = len(self._held) >= self._slots
            least_s = BETWEEN_FULL_S if is_full else BETWEEN_TURNS_S if self._held else 0.0
            await anyio.sleep(max(0.0, began_at + least_s - anyio.current_time()))

    def _pause_s(self) -> float:
        """How long nothing need be asked: quick while downloads come and go, lazy when nothing runs."""
        if not self._held:
            return IDLE_TICK_S
        turns_over = self.lane is Lane.SMALL and anyio.current_time() - self._changed_at < QUICK_FOR_S
        return QUICK_TICK_S if turns_over else TICK_S[self.lane]

    async def _turn(self, client: Aria2) -> None:
        """Hand over, take back and look, in one request."""
        additions, self._additions = self._additions, {}
        removals, self._removals = self._removals, set()
        ended, self._ended = self._ended, []
        # Held before it is asked: if the answer is lost, the daemon is replaced and these vanish with it.
        self._held |= additions.keys()
        tick, added = await client.turn(forget=ended, remove=sorted(removals), add=list(additions.values()))
        news = []
        for task, refused in zip(additions, added, strict=True):
            if refused is None:
                news.append(News(task, Signal.ADDED))
            else:
                self._held.discard(task)
                news.append(News(task, Signal.FAILED, classify("1", str(refused))))
        news += self._look(tick)
        if additions or self._ended:
            self._changed_at = anyio.current_time()
        self._tell(news)

    def _look(self, tick: Tick) -> list[News]:
        """What changed since the last tick."""
        self.transfers, self.bytes_per_s = tick.transfers, tick.speed
        self.looked_before, self._looked_at = self._looked_at, anyio.current_time()
        news = []
        for task in tuple(self._held):
            transfer = tick.transfers.get(task)
            if transfer is not None and transfer.status is not Status.WAITING and task not in self._started:
                self._started.add(task)
                news.append(News(task, Signal.STARTED))
            signal, verdict = _meaning(transfer)
            if signal is None:
                continue
            self._held.discard(task)
            self._started.discard(task)
            if transfer is not None:
                self._ended.append(task)
            news.append(News(task, signal, verdict))
        return news


def _meaning(transfer: Transfer | None) -> tuple[Signal | None, Verdict | None]:
    """What a transfer's state says of its end; (None, None) while it goes on."""
    if transfer is None or transfer.status is Status.REMOVED:
        return Signal.VANISHED, None
    if transfer.status is Status.COMPLETE:
        return Signal.WHOLE, None
    if transfer.status is Status.ERROR:
        return Signal.FAILED, classify(transfer.error_code, transfer.error_message)
    return None, None
