"""The WebSocket: calls are answered in their order, notifications come in between."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from litestar import WebSocket, websocket
from litestar.datastructures import State
from litestar.exceptions import WebSocketDisconnect

from gateway.access import OPEN, SCOPE
from gateway.aria2rpc.envelope import encode
from gateway.aria2rpc.notices import Notice, Notices
from gateway.aria2rpc.server import Server
from gateway.aria2rpc.shown import shown_by

NOTICES_MAX = 1000
"""On their way to one socket: a reader that is so slow is let go, and may come again."""
SOCKETS_MAX = 2000
"""Of one process."""
TRY_LATER, TOO_SLOW = 1013, 1008
"""Closing codes (RFC 6455, 7.4; IANA's registry)."""

AnySocket = WebSocket[Any, Any, Any]


@websocket("/jsonrpc", opt={SCOPE: OPEN})
async def jsonrpc_socket(socket: AnySocket, state: State) -> None:
    """One client, until it leaves."""
    notices: Notices = state.notices
    await socket.accept()
    if len(notices) >= SOCKETS_MAX:
        await socket.close(TRY_LATER, "too many sockets are open: try again later")
        return
    await _Talk(socket, Server(state.gateway, shown_by(socket))).go(notices)


class _Talk:
    def __init__(self, socket: AnySocket, server: Server) -> None:
        self._socket = socket
        self._server = server
        self._is_slow = False
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
                    async for body in self._calls():
                        await self._out.send(encode(await self._server.answer(body)))
                    tasks.cancel_scope.cancel()
            if self._is_slow:
                with suppress(WebSocketDisconnect, RuntimeError):
                    await self._socket.close(TOO_SLOW, "notifications are not read: connect again")
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
            try:
                await self._socket.send_text(body.decode())
            except WebSocketDisconnect:
                self._scope.cancel()

    def _take(self, notice: Notice) -> None:
        """Told to whoever may see it: the callers that spoke over this socket."""
        if not any(caller.sees(notice.owner) for caller in self._server.callers.values()):
            return
        try:
            self._out.send_nowait(notice.body)
        except anyio.WouldBlock:
            self._is_slow = True
            self._scope.cancel()
