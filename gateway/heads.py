"""The head of a request (its line and headers): how large and how late it may be, which the server does not limit."""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.problems import MEDIA_TYPE, Problem
from schemas import codec

HEAD_BYTES_MAX = 64 << 10
"""Of a head that has not ended: nobody needs a key to send one."""

HEAD_WITHIN_S = 30.0
"""A connection that asked for nothing by then, or has begun to ask and not ended, is closed."""


class Protocol(HttpToolsProtocol):
    """HTTP as the gateway serves it: what can't be read, or has no end, is refused by a problem document."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._is_in_head = True
        self._head_bytes = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            said = f"address and headers have more than {HEAD_BYTES_MAX:,} bytes"
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, said)

    def on_message_begin(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_came()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_came()
        self._late = self.loop.call_later(HEAD_WITHIN_S, self._is_late)

    def _head_came(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _is_late(self) -> None:
        self._late = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._await_head()  # what was asked for before is being answered still
        elif self._head_bytes:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the request was not there within {HEAD_WITHIN_S:g} seconds")
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        body = codec.encode(Problem(title=status.phrase, status=status, detail=detail))
        head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        self.transport.close()
