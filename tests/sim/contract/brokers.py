"""Two brokers with one face: a real nats-server, and the one in memory."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from broker import topology
from broker.connection import Connection
from broker.errors import ApiRefused
from broker.roles import Role
from schemas.settings import BrokerSettings
from tests.harness.broker import Broker
from tests.sim.broker.client import sim_connection
from tests.sim.broker.clock import NS, ServerClock
from tests.sim.broker.server import SimServer

REAL, IN_MEMORY = "nats-server", "in memory"
STORE_NOT_MADE = 10049


class AnyBroker(Protocol):
    """What a case needs of a broker."""

    def connected(self, role: Role, name: str = "") -> AbstractAsyncContextManager[Connection]:
        """A connection with the rights of `role`."""

    async def kill(self) -> None:
        """SIGKILL."""

    async def start(self) -> None:
        """Start again with the same store."""


class SimBroker:
    """The in-memory broker; it knows of no rights."""

    def __init__(self) -> None:
        loop_began_ns = time.time_ns() - round(asyncio.get_running_loop().time() * NS)
        self.server = SimServer(clock=ServerClock(loop_began_ns))

    @asynccontextmanager
    async def connected(self, role: Role, name: str = "") -> AsyncIterator[Connection]:
        async with sim_connection(self.server, f"{role}.{name or role}") as connection:
            yield connection

    async def kill(self) -> None:
        self.server.crash()

    async def start(self) -> None:
        self.server.start()


async def begin(broker: Broker | SimBroker) -> None:
    """Downdraft's streams, and nothing in them."""
    async with broker.connected(Role.ADMIN) as admin:
        await wipe(admin)
        await make(admin, BrokerSettings())


async def wipe(admin: Connection) -> None:
    """Delete every stream."""
    for name in (await admin.api("STREAM.NAMES"))["streams"] or ():
        await admin.api(f"STREAM.DELETE.{name}")


async def make(admin: Connection, settings: BrokerSettings) -> None:
    """Make the streams; a server that still clears up the ones before is asked again."""
    while True:
        try:
            await topology.ensure_patiently(admin, settings)
        except ApiRefused as error:
            if error.code != STORE_NOT_MADE:
                raise
            await asyncio.sleep(0.05)
        else:
            return
