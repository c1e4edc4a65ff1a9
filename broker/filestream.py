"""Reading and deleting the finished files of nodes: ordered chunks, asked for one by one, a few of them in flight.

The reader sets the pace, so memory is bounded on both sides by the window, however large the file and slow the link.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import NamedTuple, TypeVar

import anyio
import msgspec
from anyio.abc import TaskGroup
from nats.aio.msg import Msg

from broker.connection import Connection
from broker.errors import BrokerError, Unanswered
from schemas import codec
from schemas import subjects as s
from schemas.errors import DowndraftError
from schemas.transfer import (
    CHUNK_BYTES_MAX,
    DELETE,
    READ,
    TROUBLE_HEADER,
    Deleted,
    DeleteQuery,
    FileRefusal,
    ReadQuery,
    Trouble,
)

CHUNK_BYTES = CHUNK_BYTES_MAX
"""Asked for at a time: half of it is two thirds as fast, and a link of 52 KB/s still brings one in time."""
WINDOW_START = 2
WINDOW_MAX = 8
"""Chunks in flight: 4 MiB, which fills a link of 300 Mbit/s with a round trip of 100 ms."""
QUICK_S = 0.5
SLOW_S = 2.0
"""A chunk that took longer was queued behind the others: fewer at once lose nothing and don't time out."""
ANSWER_WITHIN_S = 10.0
TRIES_MAX = 8
RETRY_S = 0.25
RETRY_MAX_S = 4.0
"""With these a chunk is given up after 16 s in which nobody listens, or 95 s in which nobody answers."""
LOOK_TRIES_MAX = 4
"""For a first look, and to begin a deletion: given up after 2 s without anybody there. People wait for it."""
LOOK_WITHIN_S = 3.0
DELETE_WITHIN_S = 20.0
"""A node says within 10 s that it is still comparing."""
ASK_AGAIN_S = 0.5

T = TypeVar("T")


class NodeAway(BrokerError):
    """Nobody answers for a node's files. What was asked of it may have happened all the same."""


class FileUnavailable(DowndraftError):
    """The node answered, and does not give or delete the file; `trouble` says which kind of reason it told."""

    def __init__(self, trouble: Trouble, said: str) -> None:
        super().__init__(said)
        self.trouble = trouble


class NodeFile(NamedTuple):
    """A finished file, as its `finished.completed` event tells of it."""

    node: str
    task: str
    path: str
    bytes: int
    folder: str = ""
    """Of a task that brought several files: where they lie."""


class _Chunk:
    """A part of the file that was asked for."""

    def __init__(self, offset: int, length: int) -> None:
        self.offset, self.length = offset, length
        self.data = b""
        self.error: DowndraftError | None = None
        self.took_s = 0.0
        self.ready = anyio.Event()


async def look(connection: Connection, file: NodeFile) -> None:
    """Return if the file is there and has its size. Raises NodeAway, FileUnavailable."""
    await _read(connection, file, _Chunk(0, 0), LOOK_TRIES_MAX, LOOK_WITHIN_S)


@asynccontextmanager
async def reading(
    connection: Connection, file: NodeFile, start: int = 0, end: int | None = None
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The bytes from `start` up to before `end` (None: the whole rest) as ordered chunks, for the length of the block.

    At most WINDOW_MAX chunks are held or under way; none is asked for before there is room for it. Survives lost
    answers, and a broker or node that comes back soon. Iterating raises NodeAway and FileUnavailable, and so may
    come to an end in the middle: look at the digest before you trust what you have.
    """
    spans = _spans(start, file.bytes if end is None else end)
    failed: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            async with aclosing(_ordered(connection, file, spans, tasks)) as chunks:
                yield chunks
        except Exception as error:  # raised below: the task group would wrap it
            failed = error
        tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed


async def delete(connection: Connection, file: NodeFile, digest: str) -> Deleted:
    """Have a node delete a file that still has this digest (`sha-256=<hex>`); why not, where it did not.

    Waits for as long as the node compares. Raises NodeAway.
    """
    query = DeleteQuery(task=file.task, path=file.path, bytes=file.bytes, digest=digest, folder=file.folder)
    unanswered, pause_s = 0, RETRY_S
    while True:
        try:
            answer = await connection.request(
                s.node_verb(file.node, DELETE), codec.encode(query), timeout_s=DELETE_WITHIN_S
            )
        except Unanswered as error:
            unanswered += 1
            if unanswered >= LOOK_TRIES_MAX:
                raise _away(file.node, error) from error
            await anyio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_MAX_S)
            continue
        outcome = _decoded(answer, Deleted, file.node)
        if not outcome.pending:
            if outcome.trouble is Trouble.GONE and unanswered:
                return Deleted(deleted=True, said="it is gone")  # an earlier ask did it, and its answer was lost
            return outcome
        await anyio.sleep(ASK_AGAIN_S)


def next_window(window: int, took_s: float) -> int:
    """How many chunks to have in flight after one that took so long: one more, or half as many."""
    if took_s > SLOW_S:
        return max(1, window // 2)
    return min(WINDOW_MAX, window + 1) if took_s < QUICK_S else window


def _spans(start: int, end: int) -> Iterator[_Chunk]:
    return (_Chunk(offset, min(CHUNK_BYTES, end - offset)) for offset in range(start, end, CHUNK_BYTES))


async def _ordered(
    connection: Connection, file: NodeFile, spans: Iterator[_Chunk], tasks: TaskGroup
) -> AsyncGenerator[bytes, None]:
    window = WINDOW_START
    ahead: deque[_Chunk] = deque()
    while True:
        while len(ahead) < window and (chunk := next(spans, None)) is not None:
            ahead.append(chunk)
            tasks.start_soon(_fetch, connection, file, chunk)
        if not ahead:
            return
        chunk = ahead.popleft()
        await chunk.ready.wait()
        if chunk.error is not None:
            raise chunk.error
        window = next_window(window, chunk.took_s)
        yield chunk.data


async def _fetch(connection: Connection, file: NodeFile, chunk: _Chunk) -> None:
    began = anyio.current_time()
    try:
        chunk.data = await _read(connection, file, chunk, TRIES_MAX, ANSWER_WITHIN_S)
    except DowndraftError as error:
        chunk.error = error  # told in its turn: what came before it is good
    chunk.took_s = anyio.current_time() - began
    chunk.ready.set()


async def _read(connection: Connection, file: NodeFile, chunk: _Chunk, tries_max: int, within_s: float) -> bytes:
    """One chunk, asked for again where an answer is lost. Raises NodeAway, FileUnavailable."""
    query = ReadQuery(task=file.task, path=file.path, bytes=file.bytes, offset=chunk.offset, length=chunk.length)
    subject, body = s.node_verb(file.node, READ), codec.encode(query)
    pause_s = RETRY_S
    for tried in range(1, tries_max + 1):
        try:
            answer = await _ask(connection, subject, body, within_s)
            break
        except Unanswered as error:
            if tried == tries_max:
                raise _away(file.node, error) from error
        await anyio.sleep(pause_s)
        pause_s = min(2 * pause_s, RETRY_MAX_S)
    if TROUBLE_HEADER in (answer.headers or {}):
        refusal = _decoded(answer, FileRefusal, file.node)
        raise FileUnavailable(refusal.trouble, f"{file.node}: {refusal.said}")
    _check_served(answer, file.node)
    if len(answer.data) != chunk.length:
        said = f"{file.node}: sent {len(answer.data)} bytes of {file.path!r} where {chunk.length} were asked for"
        raise FileUnavailable(Trouble.CHANGED, said)
    return answer.data


async def _ask(connection: Connection, subject: str, body: bytes, within_s: float) -> Msg:
    """Ask, and give up at once what was in flight when the connection broke: its answer is lost."""
    with anyio.CancelScope() as scope:
        forget = connection.on_reconnect(scope.cancel)
        try:
            return await connection.request(subject, body, timeout_s=within_s)
        finally:
            forget()
    raise Unanswered(f"{subject}: the connection was lost")


def _away(node: str, error: Unanswered) -> NodeAway:
    if "no responders" in str(error):
        return NodeAway(f"node {node} is offline: nobody answers for its files; is it running (`downdraft nodes`)?")
    return NodeAway(
        f"node {node} does not answer for its files; try again (`downdraft nodes` says whether it is heard)"
    )


def _check_served(answer: Msg, node: str) -> None:
    if code := (answer.headers or {}).get("Nats-Service-Error"):
        raise FileUnavailable(Trouble.INVALID, f"{node}: its file service failed: {code}")


def _decoded(answer: Msg, kind: type[T], node: str) -> T:
    _check_served(answer, node)
    try:
        return codec.decode(answer.data, kind)
    except msgspec.MsgspecError as error:
        raise FileUnavailable(Trouble.INVALID, f"{node}: its answer can't be read: {error}") from error
