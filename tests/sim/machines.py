"""The processes of a world: real coordinators, and nodes whose disk and aria2c alone are simulated."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple
from uuid import uuid4

import anyio

from broker.connection import Connection
from broker.lease import Holder
from coordinator.lead import Coordinator
from node.agent import Agent
from node.assignments import Assignments
from node.clearing import keep_room
from node.closing import Closer
from node.contact import Contact
from node.daemon import Lane
from node.governor import Governor
from node.heart import Heart
from node.lock import NodeIdTaken, NodeLock
from node.main import LEAVE_WITHIN_S, follow_orders
from node.reader import Reader
from node.reporter import Reporter
from node.room import Marks
from schemas.settings import NodeSettings, Settings
from tests.sim.broker.client import sim_connection
from tests.sim.config import Config
from tests.sim.disk import Disk, SimLooks, SimWorkshop
from tests.sim.lane import SimLane
from tests.sim.loop import Process, SimLoop
from tests.sim.net import ProcessLink, WatchedServer
from tests.sim.origins import Origins
from tests.sim.running import Running


class Surroundings(NamedTuple):
    """What every process of a world shares."""

    loop: SimLoop
    server: WatchedServer
    config: Config
    settings: Settings
    dice: random.Random
    origins: Origins
    running: Running
    note: Callable[..., None]
    crashed: Callable[[str, BaseException], None]
    """Told where a process ends by an error that it should have stood."""


class Machine(ABC):
    """A place where one process at a time runs; it is started again after each end."""

    def __init__(self, around: Surroundings, name: str) -> None:
        self.around = around
        self.name = name
        self.starts = 0
        self.process: Process | None = None
        self.link: ProcessLink | None = None
        self.stop = anyio.Event()
        self.returns_at = 0.0
        """It is not started before."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.process}>"

    @property
    def is_up(self) -> bool:
        return self.process is not None and not self.process.is_dead

    def start(self) -> None:
        if self.is_up or self.around.loop.time() < self.returns_at:
            return
        around = self.around
        self.starts += 1
        process = self.process = Process(around.loop, f"{self.name}#{self.starts}")
        self.link = ProcessLink(around.loop, process, around.config, around.dice)
        self.stop = anyio.Event()
        process.died = self._died
        around.note(process.name, "starts")
        around.loop.create_task(self._live(process, self.link), name=process.name, context=process.context)

    def _died(self, process: Process) -> None:
        self.around.note(process.name, "dies")
        assert self.link is not None
        self.link.died()

    async def _live(self, process: Process, link: ProcessLink) -> None:
        try:
            async with sim_connection(self.around.server, self.name, link) as connection:
                await self.work(connection)
        except* NodeIdTaken:
            self.around.note(process.name, "ends: its id is taken")
        except* Exception as group:
            self.around.crashed(process.name, group)
        # It ends by itself: nothing of it is left.
        process.die()

    @abstractmethod
    def work(self, connection: Connection) -> Coroutine[Any, Any, None]:
        """What the process does while it is connected."""

    @abstractmethod
    def is_idle(self) -> str:
        """Empty where nothing is left to do; else what is."""


class CoordinatorMachine(Machine):
    """Runs a coordinator."""

    coordinator: Coordinator | None = None

    @property
    def leads(self) -> bool:
        return self.is_up and self.coordinator is not None and self.coordinator.is_working

    async def work(self, connection: Connection) -> None:
        holder = Holder(name=self.name, instance=uuid4().hex[:12])
        self.coordinator = Coordinator(connection, self.around.settings, holder, self.around.dice)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.coordinator.run)
            await self.stop.wait()
            tasks.cancel_scope.cancel()

    def is_idle(self) -> str:
        assert self.coordinator is not None
        term = self.coordinator.term
        if term is None:
            return "no term"
        desk = term.desk
        left = {"rows": len(term.book), "placing": len(desk._placing)}
        left |= {"pending": len(desk.planner.pending), "locks": len(term.locks)}
        return ", ".join(f"{count} {what}" for what, count in left.items() if count)


class NodeMachine(Machine):
    """Runs a node; its disk outlives the node's processes."""

    def __init__(self, around: Surroundings, name: str, node: str, tags: tuple[str, ...] = ()) -> None:
        super().__init__(around, name)
        self.node = node
        self.tags = tags
        self.disk = Disk(name)
        self.agent: Agent | None = None
        self.lanes: list[SimLane] = []

    async def work(self, connection: Connection) -> None:
        instance = uuid4().hex[:12]
        predecessors = frozenset(self.disk.instances)
        self.disk.instances.append(instance)
        lock = NodeLock(connection, self.node, instance)
        await lock.acquire(predecessors)
        try:
            await self._work(connection, instance, lock)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await lock.release()

    async def _work(self, connection: Connection, instance: str, lock: NodeLock) -> None:
        """As node.main does."""
        around = self.around
        slots = around.config.slots
        own = NodeSettings(id=self.node, slots=slots, tags=self.tags)
        settings = Settings(coordinator=around.settings.coordinator, node=own)
        assignments = Assignments(self.node)
        looks = SimLooks(self.disk, Marks.of(settings.node))
        await looks.look()
        async with anyio.create_task_group() as tasks:
            workshop = SimWorkshop(self.disk, around.origins, around.dice)
            reporter = Reporter(connection, self.node)
            closer = Closer(self.node, reporter=reporter, assignments=assignments, workshop=workshop, disk=looks)
            agent = self.agent = Agent(
                self.node,
                slots,
                reporter=reporter,
                closer=closer,
                workshop=workshop,
                disk=looks,
                tasks=tasks,
            )
            self.lanes = [self._lane(lane, agent) for lane in (Lane.SMALL, Lane.LARGE)]
            for lane in self.lanes:
                agent.lanes[lane.lane] = lane
                tasks.start_soon(lane.run)
            governor = Governor()
            heart = Heart(connection, settings, instance, agent, looks, governor)
            if around.config.orders:
                await follow_orders(connection, settings, agent, heart, governor, tasks)
            looks.tell = heart.beat
            tasks.start_soon(keep_room, looks, agent, heart)
            reader = Reader(connection, self.node, assignments, agent, has_ended=reporter.has_ended, dice=around.dice)
            for work in (heart.run, lock.keep, reader.run, Contact(lock, reader, agent).watch):
                tasks.start_soon(work)
            for work in (reporter.speak, agent.carrier.finish_small, agent.carrier.report_completed):
                tasks.start_soon(work)
            await self.stop.wait()
            heart.leaving = True
            await heart.beat()
            with anyio.move_on_after(LEAVE_WITHIN_S):
                await agent.leave()
            await heart.beat()
            tasks.cancel_scope.cancel()

    def _lane(self, lane: Lane, agent: Agent) -> SimLane:
        around = self.around
        return SimLane(
            lane,
            around.config.slots,
            disk=self.disk,
            origins=around.origins,
            running=around.running,
            dice=around.dice,
            listener=agent.hear,
        )

    def _died(self, process: Process) -> None:
        super()._died(process)
        for lane in self.lanes:
            lane.died()
        self.lanes, self.agent = [], None

    def is_idle(self) -> str:
        if self.agent is None:
            return "not begun" if self.is_up else "down"
        left = [f"{held.task} {held.phase}" for held in self.agent.held()]
        return ", ".join([*left, *(f"{task} carried" for task in self.agent.carrier.carried())])
