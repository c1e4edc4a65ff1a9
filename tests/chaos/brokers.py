"""Three nats-servers that are one broker (R3), each killed, frozen, cut off and started again by itself."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any


from broker import embedded
from broker.binaries import find_nats_server
from broker.connection import connect
from broker.errors import BrokerError
from broker.roles import Role
from tests.chaos.cluster import Cluster, free_port, looking_on
from tests.chaos.process import Process
from tests.harness.hosts import Host
from tests.harness.waiting import eventually

SERVERS = 3
CLIENTS_PORT = 4222
SERVERS_PORT = 6222
"""Where there are hosts; on loopback they take free ones."""
CONF = """
server_name: "{name}"
cluster {{
  name: downdraft
  listen: "{listen}"
  routes: [{routes}]
  no_advertise: true
}}
"""
"""Beside the usual nats.conf. Clients are told every address at their start: nothing is to lead around a bad link."""


class ThreeBrokers(Cluster):
    """A cluster whose broker is three servers; with `hosts` each on one of its own."""

    replicas = SERVERS

    def __init__(self, folder: Path, settings: Mapping[str, str], hosts: tuple[Host, ...] = ()) -> None:
        super().__init__(folder, {"DOWNDRAFT_BROKER_REPLICAS": str(SERVERS)} | dict(settings))
        self.hosts = hosts
        addresses = [host.address for host in hosts] or ["127.0.0.1"] * SERVERS
        ports = [CLIENTS_PORT if hosts else free_port() for _ in range(SERVERS)]
        routes = [f"{address}:{SERVERS_PORT if hosts else free_port()}" for address in addresses]
        self.addresses = [f"nats://{address}:{port}" for address, port in zip(addresses, ports, strict=True)]
        self.url = ",".join(self.addresses)
        for number, (address, port, route) in enumerate(zip(addresses, ports, routes, strict=True)):
            self._add_server(number, address, port, CONF.format(
                name=f"nats-{number + 1}", listen=route, routes=", ".join(f'"nats://{other}"' for other in routes)
            ))

    @property
    def servers(self) -> list[Process]:
        return [self.processes[f"nats-{number}"] for number in range(1, SERVERS + 1)]

    def server(self, name: str) -> Process:
        return self.processes[name]

    def _add_server(self, number: int, address: str, port: int, more: str) -> None:
        name = f"nats-{number + 1}"
        folder = self.folder / name
        conf = embedded.lay_out(folder)
        conf.write_text(conf.read_text() + more)
        (folder / embedded.KEYS).symlink_to(self.keyring.folder.resolve(), target_is_directory=True)
        log = self.folder / "logs" / f"{name}.log"
        log.parent.mkdir(exist_ok=True)
        command = [str(find_nats_server("")), "-c", str(conf.resolve()), "-a", address, "-p", str(port), "-m", "-1"]
        within = self.hosts[number].command([]) if self.hosts else []
        process = Process(name, [*command, "-l", str(log)], folder, ready="Server is ready", within=within)
        process.log_file = log
        self._add(process)

    async def leader_of(self, stream: str, within_s: float = 30.0) -> str:
        """Which server leads a stream, once one does and the others are in step with it."""

        async def asked() -> str:
            try:
                async with connect(self.url, self.creds(Role.ADMIN), name="looking", timeout_s=5) as connection:
                    info: dict[str, Any] = await connection.api(f"STREAM.INFO.{stream}", timeout_s=2)
            except BrokerError:
                return ""
            return str(info["cluster"].get("leader", ""))

        return await eventually(asked, within_s=within_s, every_s=0.2, what=f"a leader of {stream}")

    async def until_in_step(self, within_s: float = 60.0) -> None:
        """Return when every stream has a leader and all its copies have what it has."""
        for stream in ("REQUESTS", "TASKS", "EVENTS", "KV_downdraft"):
            await eventually(lambda s=stream: self._is_in_step(s), within_s=within_s, every_s=0.3, what=f"{stream} in step")

    async def _is_in_step(self, stream: str) -> bool:
        try:
            async with connect(self.url, self.creds(Role.ADMIN), name="looking", timeout_s=5) as connection:
                info = await connection.api(f"STREAM.INFO.{stream}", timeout_s=2)
        except BrokerError:
            return False
        replicas = info["cluster"].get("replicas") or []
        return len(replicas) == SERVERS - 1 and all(one.get("current") and not one.get("offline") for one in replicas)


@asynccontextmanager
async def three_brokers(
    folder: Path, *, nodes: int = 2, coordinators: int = 2, settings: Mapping[str, str] | None = None
) -> AsyncIterator[ThreeBrokers]:
    """A ready cluster on three servers for the length of the block; whatever is left of it is killed after it."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = ThreeBrokers(folder, settings or {})
    for number in range(1, coordinators + 1):
        cluster.add_coordinator(f"coordinator-{number}")
    for number in range(1, nodes + 1):
        cluster.add_node(f"node-{number}")
    try:
        await cluster.start(*(server.name for server in cluster.servers))
        async with looking_on(cluster):
            await cluster.start()
            await cluster.until_ready()
            yield cluster
    finally:
        cluster.kill_all()
