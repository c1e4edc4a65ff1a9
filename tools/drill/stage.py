"""Where a drill takes place: a cluster, an origin and a guard, in a temporary folder of their own."""

import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import psutil

from broker.cluster import Client, open_client
from broker.roles import Role
from tools.cluster import Cluster, ClusterPlan, running_cluster
from tools.context import DATA_FOLDER
from tools.drill.guard import KEEP

NODES = 3
COORDINATORS = 2
SETTINGS = "drill.toml"
GUARD_WITHIN_S = 10.0
ORIGIN_WITHIN_S = 20.0


class Stage:
    """The running parts of a drill."""

    def __init__(self, folder: Path, cluster: Cluster, origin: str, watcher: Client, sender: Client) -> None:
        self.folder = folder
        self.cluster = cluster
        self.origin = origin
        """Its address, with the slash."""
        self.watcher = watcher
        self.sender = sender

    def __repr__(self) -> str:
        return f"<Stage {self.folder} {self.cluster!r}>"

    @property
    def nodes(self) -> list[str]:
        return self.cluster.node_names()

    @property
    def coordinators(self) -> list[str]:
        return [name for name in self.cluster.children if name not in self.nodes]

    @property
    def downloads(self) -> Path:
        return self.cluster.plan.downloads

    def process(self, name: str) -> psutil.Process | None:
        """A process of the cluster by its name, an aria2c as `<node>/<lane>`; None while it does not run."""
        node, _, lane = name.partition("/")
        with suppress(psutil.Error):
            child = self.cluster.children.get(node)
            found = psutil.Process(child.pid if child is not None else self.cluster.server_pid)
            if lane:
                conf = f"aria2-{lane}.conf"
                return next((one for one in found.children() if any(conf in word for word in one.cmdline())), None)
            return found if found.status() != psutil.STATUS_ZOMBIE else None
        return None


@asynccontextmanager
async def on_stage(folder: Path, seed: int, hurry: anyio.Event) -> AsyncIterator[Stage]:
    """Everything ready, in `folder`, for the length of the block. Once `hurry` is set the end is not an orderly one.

    Raises ClusterFailed, ServerFailed, BinaryMissing.
    """
    settings = folder / SETTINGS
    settings.touch()  # the defaults, whatever a downdraft.toml in the current folder says
    plan = ClusterPlan(
        data=folder / DATA_FOLDER,
        downloads=folder / "downloads",
        nodes=NODES,
        coordinators=COORDINATORS,
        nats_port=0,
        allow_nets=("127.0.0.0/8",),
        config=settings,
    )
    async with _origin(seed, folder) as origin, running_cluster(plan, hurry=hurry) as cluster:
        operator, producer = str(cluster.creds(Role.OPERATOR)), str(cluster.creds(Role.PRODUCER))
        async with open_client(cluster.url, operator) as watcher, open_client(cluster.url, producer) as sender:
            yield Stage(folder, cluster, origin, watcher, sender)


@asynccontextmanager
async def guarded_folder() -> AsyncIterator[Path]:
    """A temporary folder that goes, with every process that works in it, however the block and this process end.

    `keep` keeps it.
    """
    folder = Path(tempfile.mkdtemp(prefix="downdraft-drill-")).resolve()
    command = [sys.executable, "-P", "-m", "tools.drill.guard", str(folder)]
    # In a session of its own: Ctrl-C is for the drill, which closes the pipe when it is done.
    guard = await anyio.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=None, start_new_session=True
    )
    try:
        yield folder
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(GUARD_WITHIN_S):
            assert guard.stdin is not None
            await guard.stdin.aclose()
            await guard.wait()


def keep(folder: Path) -> None:
    """Let the folder of `guarded_folder` stay."""
    (folder / KEEP).touch()


@asynccontextmanager
async def _origin(seed: int, folder: Path) -> AsyncIterator[str]:
    """The origin's process; its address."""
    command = [sys.executable, "-P", "-m", "tools.drill.origin", "--seed", str(seed), "--folder", str(folder)]
    with (folder / "origin.out").open("wb") as output:
        process = await anyio.open_process(command, stdin=subprocess.PIPE, stderr=output, start_new_session=True)
    try:
        assert process.stdout is not None
        with anyio.fail_after(ORIGIN_WITHIN_S):
            port = int(await process.stdout.receive())
        yield f"http://127.0.0.1:{port}/"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()
