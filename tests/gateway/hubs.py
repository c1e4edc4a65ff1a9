"""A hub without the gateway around it, and a log that it reads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio

from broker.connection import Connection
from broker.eventlog import EventLog
from broker.roles import Role
from gateway.hub import Hub
from schemas.event import Queued
from schemas.view import TaskView
from tests.examples import a_task
from tests.harness.broker import Broker


class NoModel:
    is_ready = True

    async def get(self, task: str) -> TaskView | None:
        return None


@asynccontextmanager
async def running(broker: Broker) -> AsyncIterator[tuple[Hub, Connection, EventLog]]:
    """A hub, its connection, and the log to write to."""
    async with (
        broker.connected(Role.GATEWAY) as connection,
        broker.connected(Role.COORDINATOR) as writer,
        anyio.create_task_group() as tasks,
    ):
        hub = Hub(connection)
        tasks.start_soon(hub.run)
        yield hub, connection, EventLog(writer, "co")
        tasks.cancel_scope.cancel()


async def write(log: EventLog, *numbers: int, owner: str = "default") -> None:
    for number in numbers:
        await log.report(Queued(task=a_task(number), owner=owner, time=datetime.now(UTC), name=f"n{number}"))
