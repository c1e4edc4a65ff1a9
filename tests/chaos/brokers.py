"""Three nats-servers that are one broker (R3), each killed, frozen, cut off and started again by itself."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from broker import embedded
from broker.binaries import find_nats_server
from broker.connection import connect
from broker.errors import BrokerError
from broker.roles import Role
from schemas import subjects as s
from tests.chaos.cluster import Cluster, free_port, looking_on
from tests.chaos.process import Process
from tests.harness.hosts import Host, Network
from tests.harness.link import linked
from tests.harness.waiting import eventually

STREAMS = (s.REQUESTS_STREAM, s.TASKS_STREAM, s.EVENTS_STREAM, s.BUCKET_STREAM)
SERVERS = 3
META = "META"
META_LEADER = re.compile(r"] (\S+ \S+) \[INF] (?:Self is new|JetStream cluster new) .*metadata leader(?:: ([\w-]+))?")
"""When, and which; none: the server itself."""
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

    def __init__(self, folder: Path, settings: Mapping[str, str], hosts: Sequence[Host] = ()) -> None:
        super().__init__(folder, {"DOWNDRAFT_BROKER_REPLICAS": str(SERVERS)} | dict(settings))
        self.hosts = hosts
        addresses = [host.address for host in hosts] or ["127.0.0.1"] * SERVERS
        self.ports = ports = [CLIENTS_PORT if hosts else free_port() for _ in range(SERVERS)]
        routes = [f"{address}:{SERVERS_PORT if hosts else free_port()}" for address in addresses]
        self.addresses = [f"nats://{address}:{port}" for address, port in zip(addresses, ports, strict=True)]
        self.url = self.inner_url = ",".join(self.addresses)
        for number, (address, port, route) in enumerate(zip(addresses, ports, routes, strict=True)):
            self._add_server(
                number,
                address,
                port,
                CONF.format(
                    name=f"nats-{number + 1}", listen=route, routes=", ".join(f'"nats://{other}"' for other in routes)
                ),
            )

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
        command = [
            str(find_nats_server("")),
            "-c",
            str(conf.resolve()),
            "-a",
            "0.0.0.0" if self.hosts else address,  # noqa: S104 - of a host of its own
            "-p",
            str(port),
            "-m",
            "-1",
        ]
        within = self.hosts[number].command([]) if self.hosts else []
        process = Process(name, [*command, "-l", str(log)], folder, ready="Server is ready", within=within)
        process.log_file = log
        self._add(process)

    async def leader_of(self, stream: str, within_s: float = 30.0) -> str:
        """Which server leads a stream, or all of JetStream (`META`), once one does."""

        async def asked() -> str:
            if stream == META:
                return self._meta_leader()
            info = await self._info(stream)
            return str(info["cluster"].get("leader", "")) if info else ""

        return await eventually(asked, within_s=within_s, every_s=0.2, what=f"a leader of {stream}")

    def _meta_leader(self) -> str:
        """By what the running servers said last."""
        said: list[tuple[str, str]] = []
        for server in (one for one in self.servers if one.is_running):
            said += [(found[1], found[2] or server.name) for found in META_LEADER.finditer(server.log)]
        leader = max(said, default=("", ""))[1]
        return leader if leader and self.server(leader).is_running else ""

    async def _info(self, stream: str) -> dict[str, Any] | None:
        try:
            async with connect(self.url, self.creds(Role.ADMIN), name="looking", timeout_s=5) as connection:
                return await connection.api(f"STREAM.INFO.{stream}", timeout_s=2)
        except BrokerError:
            return None

    async def until_in_step(self, within_s: float = 60.0) -> None:
        """Return when every stream has a leader and all its copies have what it has."""

        async def in_step() -> bool:
            return all([await self._is_in_step(stream) for stream in STREAMS])

        await eventually(in_step, within_s=within_s, every_s=0.3, what="all copies in step")

    async def _is_in_step(self, stream: str) -> bool:
        if (info := await self._info(stream)) is None:
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


@asynccontextmanager
async def three_hosts(folder: Path, network: Network) -> AsyncIterator[ThreeBrokers]:
    """The same on three hosts, each with a server and a node, two with a coordinator; an origin on each one's loopback.

    The test looks on through the first two servers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hosts = [network.host() for _ in range(SERVERS)]
    cluster = ThreeBrokers(folder, {}, hosts)
    try:
        async with AsyncExitStack() as stack:
            relays = [await stack.enter_async_context(linked(0, dial=host.dial(CLIENTS_PORT))) for host in hosts[:2]]
            cluster.url = ",".join(f"nats://{relay.address}" for relay in relays)
            for number, host in enumerate(hosts, 1):
                placed: dict[str, Any] = {"url": cluster.inner_url, "within": host.command([])}
                if number < SERVERS:
                    cluster.add_coordinator(f"coordinator-{number}", **placed)
                cluster.add_node(f"node-{number}", **placed)
            await cluster.start(*(server.name for server in cluster.servers))
            await stack.enter_async_context(looking_on(cluster))
            port = cluster.origin.port
            for host in hosts:
                await stack.enter_async_context(linked(port, listen=host.listen_inside, at=port))
            await cluster.start()
            await cluster.until_ready()
            yield cluster
    finally:
        cluster.kill_all()
