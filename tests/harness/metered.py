"""A real HTTP origin that serves any number of bytes as fast as they are taken, and tells how fast that is."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

SEND_BUFFER_BYTES = 64 << 10
"""Small: what lies in a buffer here counts as taken."""
CHUNK = b"x" * (32 << 10)
_RANGE = re.compile(r"range:\s*bytes=(\d+)-(\d*)", re.IGNORECASE)


class MeteredOrigin:
    """`url(size)` is a file of so many bytes; each has a name of its own."""

    def __init__(self) -> None:
        self.port = 0
        self._files = 0
        self.bytes = 0

    def url(self, size: int, host: str = "127.0.0.1") -> str:
        self._files += 1
        return f"http://{host}:{self.port}/{size}/{self._files}"

    @property
    def origin(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def rate(self, over_s: float) -> float:
        """Bytes a second in the next so many seconds."""
        before, began_at = self.bytes, anyio.current_time()
        await anyio.sleep(over_s)
        return (self.bytes - before) / (anyio.current_time() - began_at)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                await self._answer((await reader.readuntil(b"\r\n\r\n")).decode(), writer)
        writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        method, path, _ = head.split(" ", 2)
        size = int(path.split("/")[1])
        first, last = 0, size - 1
        status = "200 OK"
        lines = ["Accept-Ranges: bytes", 'ETag: "one"']
        if asked := _RANGE.search(head):
            first, last = int(asked[1]), int(asked[2] or last)
            status = "206 Partial Content"
            lines.append(f"Content-Range: bytes {first}-{last}/{size}")
        lines.append(f"Content-Length: {last + 1 - first}")
        writer.write("\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode())
        left = last + 1 - first if method == "GET" else 0
        while left:
            part = CHUNK[:left]
            writer.write(part)
            await writer.drain()
            self.bytes += len(part)
            left -= len(part)


@asynccontextmanager
async def metered() -> AsyncIterator[MeteredOrigin]:
    """Serve for the length of the block."""
    origin = MeteredOrigin()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(origin.serve, sock=listener, limit=64 << 10)
    for transport in server.sockets:
        origin.port = transport.getsockname()[1]
    try:
        yield origin
    finally:
        server.close()
