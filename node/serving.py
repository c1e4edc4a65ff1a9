"""The node's service for its finished files: `downloads.nodes.<node>.read` and `.delete`."""

from collections.abc import Callable
from contextlib import closing
from functools import partial

import anyio
import anyio.to_thread
import msgspec
import structlog
from anyio import CapacityLimiter
from anyio.abc import TaskGroup

from broker.connection import Connection
from broker.service import Answer, service
from node.finished import FileRefused, Finished, inner_path
from schemas import __version__, codec
from schemas import subjects as s
from schemas.transfer import DELETE, READ, TROUBLE_HEADER, Deleted, DeleteQuery, FileRefusal, ReadQuery, Trouble

log = structlog.get_logger()

ASKED_IN_FLIGHT = 8
"""Requests of a verb worked on at once, each with at most one chunk in memory."""
READ_THREADS = 4
HASH_THREADS = 2
"""Apart from the readers: comparing a large file before it is deleted takes minutes."""
DELETIONS_MAX = 64
ANSWER_WITHIN_S = 10.0
"""How long a delete may keep its asker waiting: below any patience, and below the leave to answer (60 s)."""


class _Deleting:
    """A deletion under way: whoever asks for the same one waits for the same end."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.outcome = Deleted(deleted=False, said="the file is still being compared: ask again", pending=True)


class FileService:
    """Serves the finished files of one node to whoever the broker lets ask."""

    def __init__(
        self,
        connection: Connection,
        node: str,
        finished: Finished,
        deleted: Callable[[int], None] = lambda _bytes: None,
    ) -> None:
        """`deleted` is called with the size of each file that was deleted."""
        self._connection = connection
        self._node = node
        self._finished = finished
        self._deleted = deleted
        self._readers = CapacityLimiter(READ_THREADS)
        self._hashers = CapacityLimiter(HASH_THREADS)
        self._deleting: dict[tuple[str, int, str], _Deleting] = {}

    def __repr__(self) -> str:
        return f"<FileService {self._node}: {len(self._deleting)} being deleted>"

    async def run(self) -> None:
        """Answer until cancelled."""
        async with (
            anyio.create_task_group() as tasks,
            service(
                self._connection,
                name=s.FILE_SERVICE,
                version=__version__,
                description=f"Read and delete finished files of node {self._node}",
                endpoints={
                    s.node_verb(self._node, READ): self._read,
                    s.node_verb(self._node, DELETE): partial(self._delete, tasks),
                },
                in_flight=ASKED_IN_FLIGHT,
            ),
        ):
            await anyio.sleep_forever()

    async def _read(self, _subject: str, body: bytes) -> Answer:
        try:
            asked = codec.decode(body, ReadQuery)
            read = partial(self._finished.read, asked.path, size=asked.bytes, offset=asked.offset, length=asked.length)
            return Answer(await anyio.to_thread.run_sync(read, limiter=self._readers))
        except msgspec.MsgspecError as error:
            return _refusal(Trouble.INVALID, str(error))
        except FileRefused as error:
            log.warning("a file is not served", trouble=str(error.trouble), problem=str(error))
            return _refusal(error.trouble, str(error))

    async def _delete(self, tasks: TaskGroup, _subject: str, body: bytes) -> Answer:
        try:
            asked = codec.decode(body, DeleteQuery)
        except msgspec.MsgspecError as error:
            return Answer(codec.encode(Deleted(deleted=False, said=str(error), trouble=Trouble.INVALID)))
        key = (asked.path, asked.bytes, asked.digest)
        deleting = self._deleting.get(key)
        if deleting is None:
            if len(self._deleting) >= DELETIONS_MAX:
                said = f"{DELETIONS_MAX} other files are being deleted: ask again"
                return Answer(codec.encode(Deleted(deleted=False, said=said, pending=True)))
            deleting = self._deleting[key] = _Deleting()
            tasks.start_soon(self._compare_and_delete, asked, deleting)
        with anyio.move_on_after(ANSWER_WITHIN_S):
            await deleting.done.wait()
        return Answer(codec.encode(deleting.outcome))

    async def _compare_and_delete(self, asked: DeleteQuery, deleting: _Deleting) -> None:
        run = partial(anyio.to_thread.run_sync, limiter=self._hashers)
        opening = partial(self._finished.deletion, asked.path, size=asked.bytes, digest=asked.digest)
        try:
            if asked.folder:
                inner_path(asked.folder)
            with closing(await run(opening)) as deletion:
                while not await run(deletion.step):
                    pass
                await run(deletion.finish)
            if asked.folder:
                await run(partial(self._finished.tidy, asked.path, asked.folder))
            self._deleted(asked.bytes)
            deleting.outcome = Deleted(deleted=True, said="deleted")
            log.info("finished file deleted", task=asked.task, path=asked.path)
        except FileRefused as error:
            deleting.outcome = Deleted(deleted=False, said=str(error), trouble=error.trouble)
            log.warning("a file is not deleted", task=asked.task, trouble=str(error.trouble), problem=str(error))
        finally:
            del self._deleting[asked.path, asked.bytes, asked.digest]
            deleting.done.set()


def _refusal(trouble: Trouble, said: str) -> Answer:
    return Answer(codec.encode(FileRefusal(trouble, said)), {TROUBLE_HEADER: str(trouble)})
