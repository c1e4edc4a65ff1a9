"""One process for each node id (rule 9): a file lock on this machine, a key with a time to live in the cluster."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import structlog

from broker.connection import Connection
from broker.errors import BrokerError
from broker.lease import Holder, Lease
from schemas import subjects as s
from schemas.errors import DowndraftError

log = structlog.get_logger()

LOCK_TTL_S = 10
RENEW_EVERY_S = 3.0
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
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
    descriptor = os.open(downloads, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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

    def __init__(self, connection: Connection, node: str, instance: str) -> None:
        self._node = node
        holder = Holder(name=node, instance=instance, host=socket.gethostname(), pid=os.getpid())
        self._lease = Lease(connection, s.node_lock_key(node), holder, ttl_s=LOCK_TTL_S)

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
        while True:
            await anyio.sleep(RENEW_EVERY_S)
            try:
                if not await self._lease.renew():
                    await self.acquire(frozenset())
            except BrokerError as error:
                log.debug("lock not renewed", problem=str(error))

    async def release(self) -> None:
        await self._lease.release()
