"""One schedule: a cluster is built, faults strike, then all is mended, and the judge looks at what is left."""

import asyncio
import random
from itertools import cycle

from broker import keys, topology
from coordinator.term import Term
from schemas import codec
from schemas import subjects as s
from schemas.event import Completed
from schemas.lifecycle import Desired
from schemas.origins import OTHERS
from schemas.policy import OriginPolicy, Policy
from schemas.settings import BrokerSettings, CoordinatorSettings, Settings
from tests.sim import users
from tests.sim.broker.client import sim_connection
from tests.sim.config import Config
from tests.sim.faults import thrown
from tests.sim.fleet import Own
from tests.sim.judge import Judge
from tests.sim.lane import SimLane
from tests.sim.loop import BEGINS_AT_S, Process, SimLoop
from tests.sim.machines import CoordinatorMachine, NodeMachine, Surroundings
from tests.sim.net import ProcessLink, WatchedServer
from tests.sim.operator import Operator
from tests.sim.origins import Origins
from tests.sim.running import Running
from tests.sim.striking import Fates
from tests.sim.submissions import requests
from tests.sim.trace import Trace

ENDS_WITHIN_S = 150.0
"""Once faults stop: two ack waits, a missing row's wait, back-offs, and a good deal more."""
LOOK_EVERY_S = 0.5
RESUME_EVERY_S = 3.0
AFTERMATH_S = 1.0
"""What comes late is still looked at."""
RESTART_EVERY_S = 4.0
TWINS_RUN_S = 15.0
"""A process that lost its id while it stood still learns of it within a lock's time to live and a renewal."""
SETTINGS = CoordinatorSettings(max_attempts=3, retry_base_s=0.2, retry_cap_s=1.0)


class World:
    """Everything of one schedule."""

    def __init__(self, loop: SimLoop, config: Config, dice: random.Random, trace: Trace) -> None:
        self.loop, self.config, self.dice, self.trace = loop, config, dice, trace
        self.settings = Settings(coordinator=SETTINGS, broker=BrokerSettings(storage="file"))
        names = [f"n{number}" for number in range(1, config.nodes + 1)]
        tags = dict(zip(names, cycle(config.tags or ((),)), strict=False))
        own = {name: Own(config.slots, tags[name]) for name in names}
        self.judge = Judge(loop.time, SETTINGS, own, config.limit)
        self.judge.has_file = self._has_file
        self.judge.stop = loop.stop
        self.server = WatchedServer(self.judge, config, dice, self._note)
        self.origins = Origins()
        self.running = Running(loop.time)
        self.running.began = self._began
        self.around = Surroundings(
            loop, self.server, config, self.settings, dice, self.origins, self.running, trace.note, self._crashed
        )
        self.coordinators = [
            CoordinatorMachine(self.around, f"c{number}") for number in range(1, config.coordinators + 1)
        ]
        self.nodes = [NodeMachine(self.around, name, name, tags[name]) for name in names]
        self.fates = Fates(self.around, self.coordinators, self.nodes)
        self.users_are_done = False

    def _note(self, who: str, *said: object) -> None:
        self.trace.note(who, *said)
        if who in ("TASKS", "EVENTS", "REQUESTS", "PLACING"):
            self.fates.written()

    def _has_file(self, event: Completed) -> bool:
        return any(
            machine.disk.has(event.path, event.task) and machine.disk.files[event.path].bytes == event.bytes
            for machine in [*self.nodes, *self.fates.twins]
            if machine.node == event.node
        )

    def _began(self, task: str, attempt: int, lanes: list[SimLane]) -> None:
        self.trace.note("aria2c", "runs", task, attempt)
        homes = [
            machine for machine in [*self.nodes, *self.fates.twins] if any(lane in lanes for lane in machine.lanes)
        ]
        nodes = sorted({machine.node for machine in homes})
        self.judge.check("one_place", len(nodes) <= 1, task, "attempt", attempt, "runs on", nodes)
        self.judge.within_limit(task, {other for other, _ in self.running.tasks()}, "are downloaded")
        if len(homes) > 1:
            self.loop.call_later(TWINS_RUN_S, self._still_twice, task, attempt, context=self.loop.nobody.context)

    def _still_twice(self, task: str, attempt: int) -> None:
        lanes = self.running.lanes(task, attempt)
        awake = [
            machine.name
            for machine in [*self.nodes, *self.fates.twins]
            if machine.process and machine.process.is_running and any(lane in lanes for lane in machine.lanes)
        ]
        self.judge.check("one_process_per_id", len(awake) <= 1, task, "attempt", attempt, "runs in", awake)

    def _crashed(self, name: str, error: BaseException) -> None:
        self.judge.check("no_process_ends_by_error", False, name, "ended:", repr(error), trace_of(error))

    async def _keep_up(self) -> None:
        """A supervisor: what ended is started again after a while."""
        while True:
            for machine in [*self.coordinators, *self.nodes]:
                if not machine.is_up:
                    machine.start()
            await asyncio.sleep(self.dice.uniform(0.2, RESTART_EVERY_S))

    async def _look_at_fleet(self) -> None:
        """Whether room is left unused; only while one leader works."""
        term: Term | None = None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            before = term
            leaders = [machine.coordinator for machine in self.coordinators if machine.leads and machine.coordinator]
            term = leaders[0].term if len(leaders) == 1 else None
            if term is None or term is not before:
                self.judge.fleet.nobody_leads()
            else:
                self.judge.look_at_fleet()

    async def run(self) -> None:
        """Live through it; broken promises are the judge's. Raises nothing of the processes' own."""
        async with sim_connection(self.server, "setup") as connection:
            await topology.ensure(connection, self.settings.broker)
            if self.config.limit:
                policy = Policy(origins={OTHERS: OriginPolicy(running=self.config.limit)})
                await keys.write(connection, s.POLICY_KEY, codec.encode(policy), expected=0)
        for stream in self.server.jetstream.streams.values():
            self.server.watch(stream)
        if self.config.orders:
            self.loop.create_task(self._look_at_fleet(), name="fleet")
        keeper = self.loop.create_task(self._keep_up(), name="keeper")
        process = Process(self.loop, "users")
        link = ProcessLink(self.loop, process, self.config, self.dice)
        self.loop.create_task(self._try_to_use(link), name="users", context=process.context)
        self.fates.plan(thrown(self.config, self.dice))
        await self._until_faults_stop()
        self.fates.mend()
        await self._until_quiet()
        await asyncio.sleep(AFTERMATH_S)
        await self._until_quiet()  # a lease that was near its end then may have run out
        keeper.cancel()
        self._look_round()

    async def _try_to_use(self, link: ProcessLink) -> None:
        try:
            await self._use(link)
        except Exception as error:
            self._crashed("users", error)

    async def _use(self, link: ProcessLink) -> None:
        async with sim_connection(self.server, "users", link) as connection:
            await connection.api("STREAM.INFO.TASKS")
            wanted = requests(self.config, self.dice, self.origins)
            working = [
                asyncio.create_task(users.produce(connection, one, self.dice), name=f"producer {index}")
                for index, one in enumerate(wanted)
            ]
            operator = Operator(connection, self.dice, [machine.node for machine in self.nodes])
            if self.config.orders:
                working.append(asyncio.create_task(operator.decide(self.config), name="operator"))
            sources = [one.source for one in wanted if one.source]
            for _ in range(self.config.wishes if sources else 0):
                verb, source = self.dice.choice(users.VERBS), self.dice.choice(sources)
                after_s = self.dice.uniform(1.0, self.config.seconds)
                working.append(asyncio.create_task(users.wish(connection, verb, source, after_s), name=verb))
            await asyncio.gather(*working)
            self.users_are_done = True
            while True:
                await asyncio.sleep(RESUME_EVERY_S)
                paused = [
                    task
                    for task in self.judge.rows
                    if (top := self.judge.top(task)) is not None and top.row.desired is Desired.PAUSE
                ]
                if not self.fates.has_faults and not operator.is_all_open:
                    await operator.open_all()
                if not self.fates.has_faults and paused:
                    await users.ask(connection, "resume", *paused)

    async def _until_faults_stop(self) -> None:
        """The config's time, or less where everything has ended before."""
        ends_at = BEGINS_AT_S + self.config.seconds
        while self.loop.time() < ends_at:
            await asyncio.sleep(LOOK_EVERY_S)
            if self.users_are_done and self.judge.is_quiet():
                return

    async def _until_quiet(self) -> None:
        ends_at = self.loop.time() + ENDS_WITHIN_S
        while self.loop.time() < ends_at:
            await asyncio.sleep(LOOK_EVERY_S)
            if self.judge.is_quiet() and not self._busy():
                return

    def _busy(self) -> list[str]:
        """Who believes that something is left to do."""
        leaders = [machine for machine in self.coordinators if machine.leads]
        machines = [*leaders[:1], *self.nodes]
        said = [f"{machine.name}: {left}" for machine in machines if (left := machine.is_idle())]
        said += [f"{task} attempt {attempt} runs" for task, attempt in self.running.tasks()]
        return said if leaders else [*said, "nobody leads"]

    def _look_round(self) -> None:
        self.judge.balance()
        self.judge.check("everyone_is_idle", not self._busy(), *self._busy())


def trace_of(error: BaseException) -> str:
    """Where an error came from, the innermost of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = []
    at = error.__traceback__
    while at is not None:
        frames.append(f"{at.tb_frame.f_code.co_qualname}:{at.tb_lineno}")
        at = at.tb_next
    return f"{error!r} at {' > '.join(frames[-6:])}"
