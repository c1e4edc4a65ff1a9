"""One lane at work: a daemon kept alive, and one multicall a tick that hands over, takes back and looks."""

from collections.abc import Mapping
from typing import NoReturn

import anyio
import structlog
from anyio import CapacityLimiter
from msgspec.structs import replace

from node.aria2 import Aria2, Aria2Error, Aria2Nonsense
from node.crashes import Crashes
from node.daemon import Daemon, DaemonFailed, Lane
from node.failures import Verdict, classify, stalled, without_peers
from node.governor import Governor
from node.news import Listener, News, meaning_of
from node.pace import least_s, pause_s
from node.seeding import Seeders
from node.session import Signal
from node.stall import Sample, StallWatch
from node.transfers import Addition, Status, Tick, Transfer
from schemas.options import DOWNLOAD_LIMIT, UPLOAD_LIMIT, limit_of
from schemas.task import FailureClass

log = structlog.get_logger()

TICK_S = {Lane.SMALL: 0.1, Lane.LARGE: 0.2, Lane.TORRENT: 0.2}
"""While transfers run and none began or ended lately."""
QUICK_TICK_S = 0.02
BETWEEN_TURNS_S = 0.02
"""What is added meanwhile shares the next request; the first of an idle lane goes out at once."""
BETWEEN_FULL_S = 0.05
"""… while every slot is taken: what follows waits inside aria2 already, so no slot idles."""
SETTLED_S = 3.0
"""After the last beginning or end its speeds tell when the next end is due."""
QUICK_FOR_S = 0.2
"""Small files turn over in milliseconds: after each that begins or ends the daemon is asked often for so long."""
STOPPED_WITHIN_S = 2.0
"""aria2 lets a download that it is told to stop go with its next round: it is asked often until then, so that whoever
waits for that, and for the slot, does not wait for the tick of long downloads."""
IDLE_TICK_S = 2.0
"""With nothing to do the daemon is still asked, so that a dead or frozen one is replaced before it is needed."""
START_GRACE_S = 20.0
"""How long a task waits for an aria2c that does not start, before another node is to try."""
KILLED_WITHIN_S = 2.0
"""One that hangs in a write to a dead disk ends when the disk answers: its tasks need not wait for that."""


class StandsStill(Aria2Error):
    """The daemon answers, and nothing that it holds gets a byte."""


class LaneDriver:
    """Keeps one aria2c in step with what the agent asked of it."""

    def __init__(
        self,
        daemon: Daemon,
        limiter: CapacityLimiter,
        listener: Listener,
        *,
        stall_timeout_s: float = 60.0,
        governor: Governor | None = None,
    ) -> None:
        """`governor` says how much may come; by default as much as does.

        Torrents are rare, and their aria2c listens for peers: it is started when the first one comes.
        """
        self.lane = daemon.lane
        self.transfers: dict[str, Transfer] = {}
        """As of the last tick."""
        self.bytes_per_s = 0
        self._is_awaited = False
        """Something waits for a slot: an end is to be noticed at once."""
        self._took_s = 0.0
        """The last turn."""
        self._daemon = daemon
        self._limiter = limiter
        self._tell = listener
        self._governor = governor or Governor()
        self._slots = daemon.slots
        self._additions: dict[str, tuple[Addition, float]] = {}
        """What is to be added, and since when."""
        self._removals: set[str] = set()
        self._stopping: set[str] = set()
        """Told to stop, and not seen to have done so."""
        self._told_at = 0.0
        """… when, seconds of the loop's clock."""
        self._held: set[str] = set()
        self.looked_before = 0.0
        """When the look before the last one was, seconds of the loop's clock."""
        self._looked_at = 0.0
        self._changed_at = 0.0
        """When a transfer began or ended, seconds of the loop's clock."""
        self._ended: list[str] = []
        """What aria2 may forget with the next turn."""
        self._started: set[str] = set()
        self._seeders = Seeders()
        self._stalls = StallWatch(stall_timeout_s)
        self._stalls_due = 0.0
        self._given_up: dict[str, Verdict] = {}
        """Stalled, and being taken out of aria2."""
        self._crashes = Crashes()
        self._daemon_since = 0.0
        self.trouble = ""
        """Why nothing can be downloaded here now, for people."""
        self._wake = anyio.Event()

    def __repr__(self) -> str:
        return f"<LaneDriver {self.lane}: {len(self._held)} held, {self._daemon!r}>"

    @property
    def pid(self) -> int | None:
        return self._daemon.pid

    def add(self, addition: Addition) -> None:
        """Hand it to aria2 with the next tick: `added` or `failed` will follow."""
        self._additions[addition.gid] = addition, anyio.current_time()
        self._stalls.begin(addition.gid, addition.options)
        self._seeders.begin(addition)
        self._wake.set()

    def remove(self, task: str) -> None:
        """Take it back: `vanished` will follow, unless it was whole or failed first."""
        if self._additions.pop(task, None) is not None or task not in self._held:
            self._tell([News(task, Signal.VANISHED)])
            return
        self._removals.add(task)
        self._wake.set()

    def limit(self, task: str, options: Mapping[str, str]) -> None:
        """Its request says these limits now: they hold for what is to be added, and for what aria2 has."""
        if task in self._additions:
            addition, since = self._additions[task]
            self._additions[task] = replace(addition, options={**addition.options, **options}), since
        self._stalls.limit(task, dict(options))
        upload = limit_of(options, UPLOAD_LIMIT)
        self._governor.limit_task(task, limit_of(options, DOWNLOAD_LIMIT) or 0, upload)
        self._wake.set()

    def give_up(self, task: str, verdict: Verdict) -> None:
        """Take it out of aria2: `failed` will follow with this verdict, unless it was whole or failed first."""
        if task in self._held:
            self._given_up.setdefault(task, verdict)
            self._removals.add(task)
            self._wake.set()

    def kill(self) -> None:
        """End its aria2c at once, whatever it does; another one is started."""
        self._daemon.kill()

    def forget(self, task: str) -> None:
        """Its attempt is over."""
        self._stalls.forget(task)
        self._crashes.forget([task])

    def set_slots(self, slots: int) -> None:
        """How many may run at once."""
        if slots != self._slots:
            self._slots = slots
            self._wake.set()

    def await_slot(self, *, is_awaited: bool) -> None:
        """Whether something waits for a slot to come free."""
        if is_awaited and not self._is_awaited:
            self._wake.set()
        self._is_awaited = is_awaited

    async def run(self) -> NoReturn:
        """Drive until cancelled; a daemon that dies, freezes, stands still or talks nonsense is replaced."""
        async with self._daemon:
            if self.lane is Lane.TORRENT:
                await self._until_needed()
            while True:
                verdicts: dict[str, Verdict] = {}
                try:
                    await self._daemon.start()
                except (DaemonFailed, OSError) as error:
                    log.warning("aria2c did not start", lane=str(self.lane), problem=str(error))
                    self._crashes.failed_to_start()
                    self.trouble = f"aria2c for {self.lane} files does not start: {error}"
                    self._turn_away(str(error))
                else:
                    verdicts = await self._use()
                self._daemon.kill()
                with anyio.move_on_after(KILLED_WITHIN_S):
                    await self._daemon.wait()
                self._forget_all(verdicts)
                await self._until_ended()
                await anyio.sleep(self._crashes.pause_s)

    async def _until_needed(self) -> None:
        while not self._additions:
            self._wake = anyio.Event()
            await self._wake.wait()

    async def _until_ended(self) -> None:
        """A killed aria2c that hangs in its disk ends when the disk answers: nobody's task waits here for that."""
        while self._daemon.running:
            with anyio.move_on_after(KILLED_WITHIN_S):
                await self._daemon.wait()
            if self._daemon.running:
                self.trouble = f"a killed aria2c for {self.lane} files does not end: does its disk hang?"
                self._turn_away("the last one has not ended")

    async def _use(self) -> dict[str, Verdict]:
        """Drive the daemon until it has to be replaced. Verdicts on tasks that are not to be added to the next one."""
        log.info("aria2c started", lane=str(self.lane), pid=self._daemon.pid)
        self._daemon_since = anyio.current_time()
        self._crashes.started()
        self.trouble = ""
        self._stalls.moved(self._daemon_since)
        client = Aria2(self._daemon.port, self._daemon.secret, self._limiter)
        try:
            await self._drive(client)
        except StandsStill as error:
            log.warning("aria2c is replaced", lane=str(self.lane), problem=str(error))
            return {}
        except Aria2Error as error:
            log.warning("aria2c is replaced", lane=str(self.lane), problem=str(error))
            lived_s = anyio.current_time() - self._daemon_since
            guilty = self._crashes.died(self._bytes_held(), lived_s)
            reason = f"aria2c died again and again when it had this task: {error}"
            return dict.fromkeys(guilty, Verdict(FailureClass.NODE, "aria2c-crash", reason))
        finally:
            client.close()

    def _turn_away(self, problem: str) -> None:
        """What has waited long enough for a daemon is not to wait here: another node may do better."""
        now = anyio.current_time()
        waited = [task for task, (_, since) in self._additions.items() if now - since >= START_GRACE_S]
        for task in waited:
            del self._additions[task]
        reason = f"aria2c has not started for {START_GRACE_S:g} s: {problem}"
        self._tell([News(task, Signal.FAILED, Verdict(FailureClass.NODE, "aria2c", reason)) for task in waited])

    def _forget_all(self, verdicts: dict[str, Verdict]) -> None:
        """The daemon is gone and with it all it held; what was still to be added waits for the next one.

        `verdicts`: on tasks that are not to be added again.
        """
        held, self._held = self._held, set()
        self._governor.is_new(self.lane)
        verdicts = verdicts | self._given_up
        self._started.clear()
        self.transfers, self.bytes_per_s = {}, 0
        self._removals.clear()
        self._stopping.clear()
        self._seeders.forget_all()
        self._given_up.clear()
        self._ended.clear()
        self._tell(
            [News(task, Signal.FAILED, verdicts[task]) for task in held if task in verdicts]
            + [News(task, Signal.VANISHED) for task in held if task not in verdicts]
        )

    def _bytes_held(self) -> dict[str, int]:
        """What of each task aria2 has, as of the last tick."""
        return {task: one.done if (one := self.transfers.get(task)) else 0 for task in self._held}

    async def _drive(self, client: Aria2) -> NoReturn:
        applied = self._daemon.slots
        while True:
            self._wake = anyio.Event()
            if applied != self._slots:
                applied = self._slots
                await client.set_concurrency(applied)
            began_at = anyio.current_time()
            await self._turn(client)
            self._took_s = anyio.current_time() - began_at
            with anyio.move_on_after(self._pause_s()):
                await self._wake.wait()
            is_full = len(self._held) >= self._slots
            least_s = BETWEEN_FULL_S if is_full else BETWEEN_TURNS_S if self._held else 0.0
            await anyio.sleep(max(0.0, began_at + least_s - anyio.current_time()))

    def _pause_s(self) -> float:
        """How long nothing need be asked: quick while downloads come and go, lazy on long ones and without any."""
        if not self._held:
            if self._additions and not self._governor.is_limiting:
                return QUICK_TICK_S
            return TICK_S[self.lane] if self._additions else IDLE_TICK_S
        now = anyio.current_time()
        changed_s_ago = now - self._changed_at
        is_stopping = self._stopping and now - self._told_at < STOPPED_WITHIN_S
        if is_stopping or (self.lane is Lane.SMALL and changed_s_ago < QUICK_FOR_S):
            return QUICK_TICK_S
        # With each look a limit is set anew, and seeders end by rules of their own.
        is_looked_at_often = self._is_awaited or self._governor.is_limiting or self.lane is Lane.TORRENT
        if is_looked_at_often or self._additions or changed_s_ago < SETTLED_S:
            return max(TICK_S[self.lane], least_s(self._took_s))
        return pause_s(self.transfers.values(), TICK_S[self.lane], self._took_s)

    async def _turn(self, client: Aria2) -> None:
        """Hand over, take back and look, in one request."""
        additions = self._take_additions()
        removals, self._removals = self._removals, set()
        if removals:
            self._stopping |= removals
            self._told_at = anyio.current_time()
        ended, self._ended = self._ended, []
        if not self._held:
            self._stalls.moved(anyio.current_time())
        # Held before it is asked: if the answer is lost, the daemon is replaced and these vanish with it.
        self._held |= additions.keys()
        tick, added = await client.turn(
            forget=ended,
            remove=sorted(removals),
            add=list(additions.values()),
            limits=self._governor.orders(self.lane, anyio.current_time()),
        )
        self._governor.looked(self.lane, tick, anyio.current_time())
        news = []
        for task, refused in zip(additions, added, strict=True):
            if refused is not None:
                self._held.discard(task)
                news.append(News(task, Signal.FAILED, classify("1", str(refused))))
            elif task not in tick.transfers:
                raise Aria2Nonsense(f"aria2 took download {task} and does not know it")
            else:
                news.append(News(task, Signal.ADDED))
        news += self._look(tick)
        if additions or removals or self._ended:
            self._changed_at = anyio.current_time()
        self._governor.ended(one.task for one in news if one.task not in self._held)
        self._tell(news)
        self._watch()

    def _take_additions(self) -> dict[str, Addition]:
        """What to hand over now: all that waits, or one at a time where the last daemons died early."""
        now = anyio.current_time()
        self._crashes.lived(now - self._daemon_since)
        if not self._crashes.is_careful:
            return {task: self._additions.pop(task)[0] for task in tuple(self._additions) if self._may_begin(task, now)}
        if not self._additions or self._crashes.is_trying(self._bytes_held(), now):
            return {}
        task = next(iter(self._additions))
        if not self._may_begin(task, now):
            return {}
        self._crashes.try_one(task, now)
        return {task: self._additions.pop(task)[0]}

    def _may_begin(self, task: str, now: float) -> bool:
        return self._governor.begin(self.lane, self._additions[task][0], now)

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
            if transfer is not None and self._seeders.saw(task, transfer, self._looked_at):
                news.append(News(task, Signal.SEEDS))
            signal, verdict = meaning_of(transfer)
            if signal is None:
                continue
            if signal is Signal.VANISHED and self._seeders.is_whole(task):
                signal = Signal.WHOLE  # what was stopped is the giving to others
            self._seeders.forget(task)
            self._held.discard(task)
            self._stopping.discard(task)
            self._started.discard(task)
            given_up = self._given_up.pop(task, None)
            if signal is Signal.VANISHED and given_up is not None:
                signal, verdict = Signal.FAILED, given_up
            elif given_up is None:
                self._stalls.moved(self._looked_at)
            if transfer is not None:
                self._ended.append(task)
            news.append(News(task, signal, verdict, transfer.done if transfer else 0))
        return news

    def _watch(self) -> None:
        """Give up what stands still. Raises StandsStill where all of it does: then aria2 is suspected first."""
        now = self._looked_at
        if now < self._stalls_due:
            return
        self._stalls_due = now + self._stalls.look_every_s
        connections = sum(one.connections for task in self._started if (one := self.transfers.get(task)))
        if self._governor.crawls(self.lane, connections):
            self._stalls.moved(now)  # what may come is too little for all of them to get some
            return
        running = [
            Sample(task, one.done, one.speed, one.connections)
            for task in self._started
            if task not in self._given_up
            and (one := self.transfers.get(task)) is not None
            and one.status is Status.ACTIVE
            and not (one.seeder or one.is_verifying)
        ]
        for task, received, seconds in self._stalls.look(running, now):
            is_alone = self.lane is Lane.TORRENT and not self.transfers[task].connections
            self._given_up[task] = without_peers(seconds) if is_alone else stalled(received, seconds)
            self._removals.add(task)
        overdue = self._seeders.overdue(now)
        self._removals.update(overdue)
        if self._given_up or overdue:
            self._wake.set()
        if self.lane is Lane.TORRENT:
            return  # to find peers takes its time: that says nothing of aria2
        if self._stalls.all_stand_still(self._held - self._given_up.keys(), now):
            raise StandsStill(f"it has {len(self._held)} downloads and no byte came for any of them")
