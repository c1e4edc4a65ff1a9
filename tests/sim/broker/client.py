"""The client: what `broker` and nats.micro use of nats-py's, over a `Link` instead of a socket.

Subscriptions and messages are nats-py's own, so that callbacks run as they do there: those of one subscription one
after the other, in a task of its own.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from broker.connection import PING_EVERY_S, RECONNECT_WAIT_S, Connection
from tests.sim.broker.frames import Message, Ping, Pong, Pub, Sub, ToClient, ToServer, Unsub
from tests.sim.broker.link import Link
from tests.sim.broker.server import SimServer

PENDING_BYTES_MAX = 2 << 20
"""What is published while there is no connection waits for one, up to so many bytes."""
PINGS_UNANSWERED_MAX = 2
FLUSH_WITHIN_S = 10.0

Callback = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    """For whoever does not want to be called."""


async def _swallow(_error: Exception) -> None:
    """For whoever does not want to be called."""


class _Names:
    """Stands in for nats-py's random names: in turn, and unlike those of any other client."""

    def __init__(self, client: int) -> None:
        self._client = client
        self._count = 0

    def next(self) -> bytes:
        self._count += 1
        return f"c{self._client}n{self._count}".encode()


class SimClient:
    """One client of a `SimServer`."""

    def __init__(self, server: SimServer, link: Link, name: str) -> None:
        self._server = server
        self._link = link
        self._name = name
        self._nuid = _Names(server.next_client())
        self._state = "new"
        self._sid = 0
        self._subscriptions: dict[int, Subscription] = {}
        self._pending: deque[ToServer] = deque()
        self._pending_bytes = 0
        self._pongs: dict[int, asyncio.Future[None]] = {}
        self._pings = 0
        self._pings_unanswered = 0
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._on_disconnect: Callback = _nothing
        self._on_reconnect: Callback = _nothing
        self._on_error: Callable[[Exception], Awaitable[None]] = _swallow
        self._server_info = server.info

    def __repr__(self) -> str:
        return f"<SimClient {self._name} {self._state}>"

    @property
    def is_connected(self) -> bool:
        return self._state == "connected"

    @property
    def is_reconnecting(self) -> bool:
        return self._state == "reconnecting"

    @property
    def is_closed(self) -> bool:
        return self._state == "closed"

    is_draining = False
    is_draining_pubs = False

    @property
    def max_payload(self) -> int:
        return int(cast(int, self._server_info["max_payload"]))

    def new_inbox(self) -> str:
        return f"_INBOX.{self._name}.{self._nuid.next().decode()}"

    async def connect(
        self,
        *,
        error_cb: Callable[[Exception], Awaitable[None]] = _swallow,
        disconnected_cb: Callback = _nothing,
        reconnected_cb: Callback = _nothing,
    ) -> None:
        """Return when there is a connection, however long that takes."""
        self._on_error, self._on_disconnect, self._on_reconnect = error_cb, disconnected_cb, reconnected_cb
        while not self._link.connect(self._server, self):
            await asyncio.sleep(RECONNECT_WAIT_S)
        self._state = "connected"
        self._ping_often()

    async def close(self) -> None:
        if self.is_closed:
            return
        self._state = "closed"
        for task in self._tasks.values():
            task.cancel()
        for subscription in self._subscriptions.values():
            subscription._stop_processing()
        self._subscriptions.clear()
        self._link.abandon()
        await asyncio.sleep(0)
        await self._on_disconnect()

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        if not self.is_connected and len(payload) + self._pending_bytes > PENDING_BYTES_MAX:
            raise nats.errors.OutboundBufferLimitError
        if len(payload) > self.max_payload:
            raise nats.errors.MaxPayloadError
        trimmed = {name.strip(): value.strip() for name, value in headers.items()} if headers else None
        self._send(Pub(subject, bytes(payload), reply, trimmed))

    async def subscribe(
        self, subject: str, queue: str = "", cb: Callable[[Msg], Awaitable[None]] | None = None
    ) -> Subscription:
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        self._sid += 1
        subscription = Subscription(self, self._sid, subject, queue=queue, cb=cb)
        subscription._start(self._on_error)  # type: ignore[no-untyped-call]
        self._subscriptions[self._sid] = subscription
        self._send(Sub(self._sid, subject, queue))
        return subscription

    async def flush(self, timeout: float = FLUSH_WITHIN_S) -> None:
        """Return when the server has had everything sent so far."""
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        if not self.is_connected:
            return
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait_for(self._ping(answered), timeout)
        except TimeoutError:
            raise nats.errors.FlushTimeoutError from None

    def receive(self, frame: ToClient) -> None:
        """Called by the link."""
        if isinstance(frame, Pong):
            self._pings_unanswered = 0
            answered = self._pongs.pop(frame.token, None)
            if answered is not None and not answered.done():
                answered.set_result(None)
            return
        self._hear(frame)

    def connection_lost(self) -> None:
        """Called by the link, and by the watch over unanswered pings."""
        if not self.is_connected:
            return
        self._state = "reconnecting"
        self._stop("pings")
        self._stop("reconnection")
        self._tasks["reconnection"] = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        await self._on_disconnect()
        while True:
            if self._link.connect(self._server, self):
                for sid, subscription in self._subscriptions.items():
                    self._link.to_server(Sub(sid, subscription._subject, subscription._queue))
                self._state = "connected"
                pending, self._pending, self._pending_bytes = self._pending, deque(), 0
                for frame in pending:
                    self._link.to_server(frame)
                self._ping_often()
                with suppress(nats.errors.Error):
                    await self.flush()
                    await self._on_reconnect()
                    return
                self._state = "reconnecting"
                self._stop("pings")
            await asyncio.sleep(RECONNECT_WAIT_S)

    def _send(self, frame: ToServer) -> None:
        if self.is_connected:
            self._link.to_server(frame)
            return
        self._pending.append(frame)
        if isinstance(frame, Pub):
            self._pending_bytes += len(frame.subject) + len(frame.data)

    def _hear(self, message: Message) -> None:
        subscription = self._subscriptions.get(message.sid)
        if subscription is None:
            return
        subscription._received += 1
        if 0 < subscription._max_msgs <= subscription._received:
            del self._subscriptions[message.sid]
        headers = dict(message.headers) if message.headers else None
        msg = Msg(
            _client=cast(Any, self),
            subject=message.subject,
            reply=message.reply,
            data=message.data,
            headers=headers,
            _sid=message.sid,
        )
        subscription._pending_size += len(message.data)
        subscription._pending_queue.put_nowait(msg)

    async def _ping(self, answered: asyncio.Future[None]) -> None:
        self._pings += 1
        self._pongs[self._pings] = answered
        self._link.to_server(Ping(self._pings))
        await answered

    def _ping_often(self) -> None:
        self._pings_unanswered = 0
        self._tasks["pings"] = asyncio.get_running_loop().create_task(self._watch_silence())

    async def _watch_silence(self) -> None:
        while True:
            await asyncio.sleep(PING_EVERY_S)
            self._pings_unanswered += 1
            if self._pings_unanswered > PINGS_UNANSWERED_MAX:
                self._link.abandon()
                del self._tasks["pings"]
                self.connection_lost()
                return
            self._pings += 1
            self._link.to_server(Ping(self._pings))

    def _stop(self, task: str) -> None:
        if (running := self._tasks.pop(task, None)) is not None:
            running.cancel()

    # What nats-py's Subscription calls.

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._subscriptions.pop(sid, None)

    async def _send_unsubscribe(self, sid: int, limit: int = 0) -> None:
        self._send(Unsub(sid, limit))


@asynccontextmanager
async def sim_connection(server: SimServer, name: str, link: Link | None = None) -> AsyncIterator[Connection]:
    """A real `Connection` over a simulated client, for the length of the block."""
    client = SimClient(server, link or Link(), name)
    connection = Connection(cast(Client, client), name)
    try:
        await client.connect(
            error_cb=connection._on_error,
            disconnected_cb=connection._on_disconnect,
            reconnected_cb=connection._on_reconnect,
        )
        yield connection
    finally:
        await client.close()
