"""The WebSocket: calls are answered in their order, notifications come in between.

A call is read when the answer to the one before it is on its way: so none waits here, and no answer does.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from litestar import WebSocket, websocket
from litestar.datastructures import State
from litestar.exceptions import WebSocketDisconnect

from gateway.access import OPEN, SCOPE
from gateway.aria2rpc.envelope import encode
from gateway.aria2rpc.notices import Notice, Notices
from gateway.aria2rpc.server import Server
from gateway.aria2rpc.shown import host_of, shown_to_socket
from gateway.callers import Caller
from gateway.origins import is_of_ours
from gateway.service import Gateway
from schemas.apikey import Scope

NOTICES_MAX = 1000
"""On their way to one socket, some hundred bytes each: a reader that is so slow is let go, and may come again."""
TAKEN_WITHIN_S = 30.0
"""A socket that takes nothing for so long is let go. Until it does, nothing more is read from it."""
NOBODY_FOR_S = 300.0
"""A socket at which nobody with a key has listened for so long takes the place of another."""
SOCKETS_MAX = 2000
"""Of one process."""
TRY_LATER, TOO_SLOW = 1013, 1008
"""Closing codes (RFC 6455, 7.4; IANA's registry)."""

log = structlog.get_logger()

AnySocket = WebSocket[Any, Any, Any]


@websocket("/jsonrpc", opt={SCOPE: OPEN})
async def jsonrpc_socket(socket: AnySocket, state: State) -> None:
    """One client, until it leaves."""
    notices: Notices = state.notices
    await socket.accept()
    if len(notices) >= SOCKETS_MAX:
        await socket.close(TRY_LATER, "too many sockets are open: try again later")
        return
    server = Server(state.gateway, shown_to_socket(socket), host_of(socket), is_charged=False)
    await _Talk(socket, server, _listeners(socket, state.gateway, server)).go(notices)


def _listeners(socket: AnySocket, gateway: Gateway, server: Server) -> Callable[[], list[Caller]]:
    """Who listens at a socket: the callers that spoke over it.

    aria2 tells every socket, and there are clients that never speak over the one that they listen at: until anybody
    does, those that called from the same address of late are meant. A notification holds a GID and nothing else.
    """
    host = host_of(socket) if is_of_ours(socket) else ""

    def listeners() -> list[Caller]:
        found = list(server.callers.values()) or (gateway.office.callers_from(host) if host else [])
        return [caller for caller in found if caller.may(Scope.READ) and gateway.keys.is_valid(caller.key)]

    return listeners


class _Talk:
    def __init__(self, socket: AnySocket, server: Server, listeners: Callable[[], list[Caller]]) -> None:
        self._socket = socket
        self._server = server
        self._listeners = listeners
        self._why_ended = ""
        self._turn = anyio.Lock()
        """What is sent goes one after the other."""
        self._out: MemoryObjectSendStream[bytes]
        self._queue: MemoryObjectReceiveStream[bytes]
        self._out, self._queue = anyio.create_memory_object_stream[bytes](NOTICES_MAX)
        self._scope = anyio.CancelScope()

    async def go(self, notices: Notices) -> None:
        number = notices.join(self._take)
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._tell)
                    tasks.start_soon(self._leave_unused)
                    async for body in self._calls():
                        await self._say(encode(await self._server.answer(body)))
                    tasks.cancel_scope.cancel()
            if self._why_ended:
                log.info("a socket was closed", reason=self._why_ended)
                with anyio.move_on_after(TAKEN_WITHIN_S), suppress(WebSocketDisconnect, RuntimeError):
                    await self._socket.close(TOO_SLOW, f"{self._why_ended}: connect again")
        finally:
            notices.leave(number)
            self._out.close()
            self._queue.close()

    async def _calls(self) -> AsyncIterator[bytes | str]:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message["type"] == "websocket.receive":
                yield message.get("text") or message.get("bytes") or b""

    async def _tell(self) -> None:
        async for body in self._queue:
            await self._say(body)

    async def _say(self, body: bytes) -> None:
        with anyio.move_on_after(TAKEN_WITHIN_S) as patience:
            async with self._turn:
                try:
                    await self._socket.send_text(body.decode())
                except WebSocketDisconnect:
                    self._scope.cancel()
        if patience.cancelled_caught:
            self._end("what is sent here is not read")

    async def _leave_unused(self) -> None:
        heard_at = anyio.current_time()
        while (now := anyio.current_time()) - heard_at < NOBODY_FOR_S:
            heard_at = now if self._listeners() else heard_at
            await anyio.sleep(NOBODY_FOR_S / 10)
        self._end("nobody with a key has called here")

    def _end(self, why: str) -> None:
        self._why_ended = why
        self._scope.cancel()

    def _take(self, notice: Notice) -> None:
        """Told to whoever may see it."""
        listeners = [caller for caller in self._listeners() if caller.sees(notice.owner)]
        if not listeners:
            return
        is_owner = any(caller.owner == notice.owner for caller in listeners)
        try:
            self._out.send_nowait(notice.body(to_owner=is_owner))
        except anyio.WouldBlock:
            self._end("notifications are not read")
