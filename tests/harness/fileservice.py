"""A node's file service inside the test's own loop, on a folder of the test's own."""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Lock

import anyio

from broker.connection import Connection
from broker.filestream import NodeFile, reading
from broker.roles import Role
from node.finished import Finished
from node.serving import FileService
from tests.harness.broker import Broker

TASK = "00000000000000aa"
NODE = "node-1"


class Watched(Finished):
    """The real thing, which also counts; `pause_s` makes each read take a while."""

    def __init__(self, downloads: Path) -> None:
        super().__init__(downloads)
        self.downloads = downloads
        self.pause_s = 0.0
        self.reads = self.at_once = self.at_once_most = 0
        self._lock = Lock()

    def read(self, path: str, *, size: int, offset: int, length: int) -> bytes:
        with self._lock:
            self.reads += 1
            self.at_once += 1
            self.at_once_most = max(self.at_once_most, self.at_once)
        try:
            time.sleep(self.pause_s)
            return super().read(path, size=size, offset=offset, length=length)
        finally:
            with self._lock:
                self.at_once -= 1

    def put(self, path: str, body: bytes) -> NodeFile:
        """Store a file as if it had been downloaded."""
        file = self.downloads / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        return NodeFile(NODE, TASK, path, len(body))


@asynccontextmanager
async def serving(broker: Broker, finished: Finished, node: str = NODE) -> AsyncIterator[None]:
    """The service with a node's own credentials, ready to be asked."""
    async with broker.connected(Role.NODE, node) as connection, anyio.create_task_group() as tasks:
        tasks.start_soon(FileService(connection, node, finished).run)
        async with broker.connected(Role.ADMIN) as admin:
            with anyio.fail_after(10):
                while not await _is_there(admin):
                    await anyio.sleep(0.02)
        yield
        tasks.cancel_scope.cancel()


async def _is_there(admin: Connection) -> bool:
    from broker.errors import Unanswered

    try:
        await admin.request("$SRV.PING.downdraft-files", timeout_s=1)
    except Unanswered:
        return False
    return True


async def read_all(connection: Connection, file: NodeFile, start: int = 0, end: int | None = None) -> bytes:
    got = bytearray()
    async with reading(connection, file, start, end) as chunks:
        async for chunk in chunks:
            got += chunk
    return bytes(got)


def digest_of(body: bytes) -> str:
    return f"sha-256={hashlib.sha256(body).hexdigest()}"
