"""A cluster of real processes, each started, killed, frozen and thawed by itself, with default settings.

async with chaos_cluster(folder) as cluster:
    task = await cluster.submit("large", 16 << 20, bytes_per_s=1 << 20)
    cluster.node("node-1").kill()
    await cluster.books.balance()
"""

import random
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio

from broker import embedded, topology
from broker.binaries import find_nats_server
from broker.cluster import Client, NotSubmitted, open_client
from broker.connection import connect
from broker.credentials import Keyring
from broker.roles import Role
from schemas.ids import DEFAULT_OWNER
from schemas.request import Request
from schemas.settings import BrokerSettings
from tests.chaos.books import Books, Wanted
from tests.chaos.origin import Origin, serving
from tests.chaos.process import Process
from tests.chaos.witness import Witness, witnessing
from tests.harness.processes import COMMAND
from tests.harness.waiting import eventually

PORTS = range(15_000, 30_000)
"""Below those that connecting clients get: one that dials a dead server's port there may end up talking to itself."""
SUBMITTED_WITHIN_S = 120.0
QUICK: Mapping[str, str] = {
    "DOWNDRAFT_COORDINATOR_HEARTBEAT_INTERVAL_S": "0.2",
    "DOWNDRAFT_COORDINATOR_NODE_LOST_AFTER_S": "2",
    "DOWNDRAFT_COORDINATOR_LEASE_TTL_S": "1",
}
"""Short timers, for the tests of the ordinary run; the others have the defaults."""


class Cluster:
    """The processes by name, and what a test needs to look at them."""

    replicas = 1
    """Copies of each stream."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.downloads = folder / "downloads"
        self.keyring = Keyring(folder / "broker" / embedded.KEYS)
        self.keyring.ensure()
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.processes: dict[str, Process] = {}
        self.origin: Origin
        self.witness: Witness
        self.books: Books
        self.client: Client
        """An admin's."""
        self._settings = settings

    def __repr__(self) -> str:
        return f"<Cluster {list(self.processes.values())}>"

    @property
    def broker(self) -> Process:
        return self.processes["nats-server"]

    def node(self, name: str) -> Process:
        return self.processes[name]

    @property
    def nodes(self) -> list[Process]:
        return [process for name, process in self.processes.items() if name.startswith("node-")]

    @property
    def coordinators(self) -> list[Process]:
        return [process for name, process in self.processes.items() if name.startswith("coordinator-")]

    @property
    def leader(self) -> Process:
        """The running coordinator that said last that it leads."""
        leading = [one for one in self.coordinators if one.is_running and _leads(one.log)]
        assert len(leading) == 1, f"{leading} lead"
        return leading[0]

    @property
    def standby(self) -> Process:
        leader = self.leader
        return next(one for one in self.coordinators if one is not leader and one.is_running)

    def creds(self, role: Role, name: str = "") -> str:
        name = name or (DEFAULT_OWNER if role is Role.PRODUCER else str(role))
        return str(self.keyring.credentials(role, name).resolve())

    def add_broker(self) -> Process:
        folder = self.folder / "broker"
        conf = embedded.lay_out(folder)
        command = [str(find_nats_server("")), "-c", str(conf), "-a", "127.0.0.1", "-p", str(self.port), "-m", "-1"]
        log = self.folder / "logs" / "nats-server.log"
        log.parent.mkdir(exist_ok=True)
        process = Process("nats-server", [*command, "-l", str(log)], folder, ready="Server is ready")
        process.log_file = log
        return self._add(process)

    def add_coordinator(self, name: str, *, url: str = "", **more: Any) -> Process:
        arguments = ["coordinator", "--name", name, "--server", url or self.url]
        arguments += ["--creds", self.creds(Role.COORDINATOR)]
        return self._add(self._downdraft(name, arguments, ready="standing by", **more))

    def add_node(
        self, node: str, *, name: str = "", state: str = "", slots: int = 8, url: str = "", **more: Any
    ) -> Process:
        """`name`, `state`: of a second process with the same node id, the folder below `state/`."""
        arguments = ["node", "--id", node, "--server", url or self.url, "--creds", self.creds(Role.NODE, node)]
        arguments += ["--state", str(self.folder / "state" / (state or name or node)), "--slots", str(slots)]
        arguments += ["--downloads", str(self.downloads / (name or node)), "--allow-net", "127.0.0.0/8"]
        return self._add(self._downdraft(name or node, arguments, ready="node ready", **more))

    def _downdraft(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        ready: str,
        within: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> Process:
        settings = {**self._settings, **(settings or {})}
        return Process(name, [*COMMAND, *arguments], self.folder, settings, ready=ready, within=within)

    def _add(self, process: Process) -> Process:
        self.processes[process.name] = process
        return process

    async def start(self, *names: str) -> None:
        """Start these, or all that do not run, and wait until they work."""
        chosen = [self.processes[name] for name in names] or [p for p in self.processes.values() if not p.is_running]
        for process in chosen:
            process.start()
        async with anyio.create_task_group() as tasks:
            for process in chosen:
                tasks.start_soon(process.until_ready)

    async def until_ready(self, within_s: float = 40.0) -> None:
        """Return when a coordinator leads and hears every node that runs."""
        running = {node.name for node in self.nodes if node.is_running}
        await eventually(
            lambda: any(_leads(one.log) for one in self.coordinators), within_s=within_s, what="a coordinator leads"
        )
        await eventually(lambda: running <= self.witness.beats.keys(), within_s=within_s, what="all nodes beat")

    async def submit(
        self, name: str, size: int, *, bytes_per_s: float = 0, any_outcome: bool = False, **more: Any
    ) -> str:
        """Ask for a body of the origin, and write it down in the books; the task's id.

        Tried again with the same id until the inbox has it, as any careful producer would.
        """
        uri = self.origin.put(name, size, bytes_per_s=bytes_per_s)
        prepared = self.client.prepare(Request(uris=(uri,), id=f"{name}-{uuid4().hex[:8]}", **more))
        with anyio.fail_after(SUBMITTED_WITHIN_S):
            while True:
                try:
                    await self.client.store(prepared)
                except NotSubmitted:
                    await anyio.sleep(0.2)
                else:
                    break
        digest = "" if any_outcome else self.origin.bodies[name].digest
        self.books.asked[prepared.task] = Wanted(digest)
        return prepared.task

    async def submit_burst(self, prefix: str, count: int, size: int) -> list[str]:
        """So many bodies, one task each, submitted at once; all are stored."""
        tasks: list[str] = []

        async def one(name: str) -> None:
            tasks.append(await self.submit(name, size))

        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(one, f"{prefix}-{number}")
        return tasks

    async def downdraft(self, *arguments: str, within_s: float = 60.0) -> tuple[int, str]:
        """A command as an operator types it: its exit code and what it wrote."""
        with anyio.fail_after(within_s):
            done = await anyio.run_process(
                [*COMMAND, *arguments, "--server", self.url, "--creds", self.creds(Role.OPERATOR)],
                cwd=self.folder,
                check=False,
            )
        return done.returncode, (done.stdout + done.stderr).decode()

    def kill_all(self) -> None:
        for process in self.processes.values():
            process.kill(with_children=True)


def _leads(log: str) -> bool:
    return log.rfind("took over") > log.rfind("no longer leading")


def free_port() -> int:
    for port in random.sample(PORTS, 100):
        with socket.socket() as probing, suppress(OSError):
            probing.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


@asynccontextmanager
async def chaos_cluster(
    folder: Path,
    *,
    nodes: int = 2,
    coordinators: int = 1,
    slots: int = 8,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Cluster]:
    """A ready cluster for the length of the block; whatever is left of it is killed after it.

    Without coordinators it is not ready yet: the test adds what it needs and starts that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder, settings or {})
    cluster.add_broker()
    for number in range(1, coordinators + 1):
        cluster.add_coordinator(f"coordinator-{number}")
    for number in range(1, nodes + 1):
        cluster.add_node(f"node-{number}", slots=slots)
    try:
        await cluster.start("nats-server")
        async with looking_on(cluster):
            await cluster.start()
            if coordinators:
                await cluster.until_ready()
            yield cluster
    finally:
        cluster.kill_all()


@asynccontextmanager
async def looking_on(cluster: Cluster) -> AsyncIterator[None]:
    """An origin, a witness, the books and a client, once a broker runs whose streams may still be missing."""
    creds = cluster.creds(Role.ADMIN)
    async with AsyncExitStack() as stack:
        cluster.origin = await stack.enter_async_context(serving())
        await _until_streams(cluster)
        cluster.witness = await stack.enter_async_context(witnessing(cluster.url, creds))
        cluster.books = Books(cluster.url, creds, cluster.downloads, cluster.witness)
        cluster.client = await stack.enter_async_context(open_client(cluster.url, creds))
        yield


async def _until_streams(cluster: Cluster) -> None:
    """Make the streams, as the first coordinator would: the witness is to see everything, from the beginning."""
    async with connect(cluster.url, cluster.creds(Role.COORDINATOR), name="streams", timeout_s=20) as connection:
        await topology.ensure_patiently(connection, BrokerSettings(replicas=cluster.replicas))
