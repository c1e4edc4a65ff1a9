"""A real nats-server for one test: started, killed and restarted at will, with credentials for every role."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from broker import embedded, topology
from broker.connection import Connection, connect
from broker.credentials import Keyring
from broker.roles import Role
from schemas.settings import BrokerSettings, CoordinatorSettings, LogSettings, NatsSettings, Settings

QUICK = CoordinatorSettings(
    heartbeat_interval_s=0.2, node_lost_after_s=1.0, lease_ttl_s=1, retry_base_s=0.05, retry_cap_s=0.2
)
"""The same rules on shorter clocks."""
STEADY = msgspec.structs.replace(QUICK, lease_ttl_s=30)
"""… with a lease that a slow machine does not run out of, for tests of what one term holds."""


class Broker:
    """A running server and the keys to it."""

    def __init__(self, folder: Path, server: embedded.EmbeddedServer, keyring: Keyring) -> None:
        self.folder = folder
        self.server = server
        self.keyring = keyring

    @property
    def url(self) -> str:
        return self.server.url

    def creds(self, role: Role, name: str = "") -> str:
        return str(self.keyring.credentials(role, name or ("default" if role is Role.PRODUCER else str(role))))

    @asynccontextmanager
    async def connected(self, role: Role, name: str = "") -> AsyncIterator[Connection]:
        """A connection with the rights of `role`."""
        async with connect(self.url, self.creds(role, name), name=f"test {role} {name}", timeout_s=10) as connection:
            yield connection

    def settings(self, coordinator: CoordinatorSettings = QUICK) -> Settings:
        return Settings(
            nats=NatsSettings(url=self.url, creds=self.creds(Role.COORDINATOR)),
            coordinator=coordinator,
            log=LogSettings(level="debug"),
        )

    async def kill(self) -> None:
        """SIGKILL."""
        self.server.process.kill()
        await self.server.process.wait()

    async def start(self) -> None:
        """Start again on the same port with the same store."""
        self.server = await embedded.start(self.folder, port=self.server.port)

    async def restart(self) -> None:
        await self.kill()
        await self.start()


@asynccontextmanager
async def running_broker(folder: Path, *, with_streams: bool = True, jetstream: str = "") -> AsyncIterator[Broker]:
    """`jetstream`: a further line of that block of nats.conf."""
    keyring = Keyring(folder / embedded.KEYS)
    keyring.ensure()
    conf = embedded.lay_out(folder)
    conf.write_text(conf.read_text().replace("jetstream {", f"jetstream {{\n  {jetstream}", 1))
    broker = Broker(folder, await embedded.start(folder, port=0), keyring)
    try:
        if with_streams:
            async with broker.connected(Role.COORDINATOR) as connection:
                await topology.ensure_patiently(connection, BrokerSettings())
        yield broker
    finally:
        await broker.server.stop()
