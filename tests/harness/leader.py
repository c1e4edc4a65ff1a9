"""Coordinators inside the test's own loop, and what they hold."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import anyio

from broker.lease import Holder
from broker.roles import Role
from coordinator.lead import Coordinator
from coordinator.term import Term
from schemas.heartbeat import Heartbeat
from schemas.settings import CoordinatorSettings
from tests.harness.broker import QUICK, Broker
from tests.harness.waiting import eventually


class RunningCoordinator:
    """A coordinator that can be stopped like a process: nothing of it goes on, nothing is tidied up."""

    def __init__(self, coordinator: Coordinator, scope: anyio.CancelScope) -> None:
        self.coordinator = coordinator
        self._scope = scope

    @property
    def leads(self) -> bool:
        return self.coordinator.is_working

    @property
    def term(self) -> Term:
        assert self.coordinator.term is not None, "it does not lead"
        return self.coordinator.term

    async def until_leading(self) -> Term:
        await eventually(lambda: self.leads, what="leading")
        return self.term

    def stop(self) -> None:
        self._scope.cancel()


@asynccontextmanager
async def coordinator(
    broker: Broker, name: str = "c1", settings: CoordinatorSettings = QUICK
) -> AsyncIterator[RunningCoordinator]:
    """A coordinator for the length of the block."""
    async with broker.connected(Role.COORDINATOR) as connection, anyio.create_task_group() as tasks:
        holder = Holder(name=name, instance=uuid4().hex)
        one = Coordinator(connection, broker.settings(settings), holder)
        running = RunningCoordinator(one, tasks.cancel_scope)
        tasks.start_soon(one.run)
        yield running
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def bare_term(broker: Broker, name: str = "c1", epoch: int = 1) -> AsyncIterator[Term]:
    """A term with no loops running: for tests that take its steps one by one."""
    import random

    async with broker.connected(Role.COORDINATOR) as connection:
        await connection.api("STREAM.INFO.TASKS")  # learn the broker's time
        yield Term(connection, name, epoch, QUICK, random.Random(1))


def hear(term: Term, node: str, instance: str = "i") -> None:
    """A node is there, with room: nothing is placed on one that was not heard."""
    beat = Heartbeat(node=node, instance=instance, beat=1, version="0", slots=4, running=0, waiting=0)
    term.fleet.hear(beat, anyio.current_time())
    term.desk.heard(node)
