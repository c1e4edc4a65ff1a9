"""One process for each node id (rule 9): a file lock on this machine, a key with a time to live in the cluster."""

import math
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import structlog

from broker import filelocks
from broker.connection import Connection
from broker.errors import BrokerError
from broker.lease import Holder, Lease
from schemas import subjects as s
from schemas.errors import DowndraftError

log = structlog.get_logger()

LOCK_TTL_S = (2, 10)
"""It lives as long as a node's silence is borne (`node_lost_after_s`), within these."""
RENEW_SHARE = 0.3
"""Of its life: renewed so often …"""
ANSWER_SHARE = 0.2
"""… asked again if that has no answer within so long, for an answer that is late is of no use …"""
RETRY_SHARE = 0.05
"""… after so much more."""
STREAM_WAIT_S = 0.5
INSTANCE_FILE = "instance"
LOCK_FILE = "lock"
INSTANCES_KEPT = 20
"""More than can start and die before the cluster's key of the first has run out."""


class NodeIdTaken(DowndraftError):
    """Another process runs under this node id."""

    exit_code = 3


class DownloadsTaken(DowndraftError):
    """Another node uses this download folder."""

    exit_code = 3


class StateUnusable(DowndraftError):
    """The node's state folder can't be written."""


@contextmanager
def own_state_folder(state: Path, node: str, instance: str) -> Iterator[frozenset[str]]:
    """Hold the node's state folder for the length of the block; yields the instances that ran here before.

    Whoever holds the folder knows that they are dead: their key in the cluster may be taken over at once.
    Raises NodeIdTaken, or StateUnusable.
    """
    with _translated(state):
        state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(state / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            filelocks.lock(descriptor)
        except OSError as error:
            raise NodeIdTaken(
                f"another process runs as node {node!r} with the state folder {str(state)!r}: "
                "stop it, or give this one another --id and --state"
            ) from error
        with _translated(state):
            record = state / INSTANCE_FILE
            before = frozenset(record.read_text().split()) if record.exists() else frozenset[str]()
            record.write_text("\n".join([*sorted(before)[-INSTANCES_KEPT:], instance]))
        yield before
    finally:
        os.close(descriptor)


@contextmanager
def own_downloads(downloads: Path) -> Iterator[None]:
    """Hold the download folder for the length of the block: each node sweeps partial files that it does not know.

    The folder itself is locked, not a file in it, for it may be read-only just now. Where its file system knows no
    locks nobody is turned away. Raises DownloadsTaken.
    """
    if os.name == "nt":
        yield  # there a folder can't be locked
        return
    descriptor = os.open(downloads, os.O_RDONLY)
    try:
        try:
            filelocks.lock(descriptor)
        except BlockingIOError as error:
            raise DownloadsTaken(
                f"another node of this machine downloads into {str(downloads)!r}: each needs a folder of its own, "
                "give this one another --downloads (node.downloads)"
            ) from error
        except OSError as error:
            log.info("the download folder can't be locked", folder=str(downloads), problem=error.strerror)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _translated(state: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StateUnusable(
            f"the state folder {str(state)!r} can't be used: {error.strerror or error}; "
            "make room or give the rights, or name another folder with --state (node.state)"
        ) from error


class NodeLock:
    """The key `nodelocks.<id>` held by this process."""

    def __init__(
        self, connection: Connection, node: str, instance: str, *, lost_after_s: float = max(LOCK_TTL_S)
    ) -> None:
        """`lost_after_s`: how long a node may be silent before its tasks go elsewhere."""
        self._node = node
        holder = Holder(name=node, instance=instance, host=socket.gethostname(), pid=os.getpid())
        shortest, longest = LOCK_TTL_S
        self.ttl_s = min(longest, max(shortest, math.ceil(lost_after_s)))
        self._lease = Lease(connection, s.node_lock_key(node), holder, ttl_s=self.ttl_s)

    @property
    def sure_until(self) -> float:
        """Nobody finds it free before, whatever is lost on the way. Monotonic seconds."""
        return self._lease.sure_until

    @property
    def acquired_at(self) -> float:
        """Since when it has been ours without a break: before that others may have found it free. Monotonic seconds."""
        return self._lease.acquired_at

    @property
    def took_over(self) -> bool:
        """Whether the process before this one ended without letting it go, a moment ago."""
        return self._lease.took_over

    async def acquire(self, predecessors: frozenset[str]) -> None:
        """Take the key, waiting for a broker that is not ready yet. Raises NodeIdTaken."""
        while True:
            try:
                found = await self._lease.acquire(predecessors)
            except BrokerError as error:
                log.info("waiting for the cluster", problem=str(error))
                await anyio.sleep(STREAM_WAIT_S)
                continue
            if found is None:
                return
            if found.revision:
                raise NodeIdTaken(
                    f"node {self._node!r} runs already on {found.holder.host or 'another machine'} "
                    f"(pid {found.holder.pid}): give this one another --id"
                )
            await anyio.sleep(STREAM_WAIT_S)

    async def keep(self) -> None:
        """Renew until cancelled. Raises NodeIdTaken where another process has the key.

        While the broker is away nobody can take it: a key that ran out meanwhile is simply taken again.
        """
        pause_s = RENEW_SHARE * self.ttl_s
        while True:
            await anyio.sleep(pause_s)
            before = self.sure_until
            try:
                is_ours = True
                with anyio.move_on_after(ANSWER_SHARE * self.ttl_s):
                    is_ours = await self._lease.renew()
                if not is_ours:
                    await self.acquire(frozenset())
            except BrokerError as error:
                log.debug("lock not renewed", problem=str(error))
            pause_s = (RENEW_SHARE if self.sure_until > before else RETRY_SHARE) * self.ttl_s

    async def release(self) -> None:
        await self._lease.release()
