"""A real HTTP proxy on loopback, which knows names that nobody else does and asks for a password."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

USER, PASSWORD = "node", "pr%oxy:s3cret@"
BLOCK_BYTES = 64 << 10


class Proxy:
    """Every host is 127.0.0.1 to it."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        """Method and address of each request that it let through."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            method, address, _ = head.decode("latin-1").split("\r\n", 1)[0].split(" ")
            credentials = b64encode(f"{USER}:{PASSWORD}".encode())
            if b"\r\nproxy-authorization: basic " + credentials.lower() not in head.lower():
                writer.write(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            else:
                self.asked.append(f"{method} {address}")
                await self._pass_on(method, address, head, reader, writer)
        writer.close()

    async def _pass_on(
        self, method: str, address: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        port = int(address.rpartition(":")[2]) if method == "CONNECT" else urlsplit(address).port or 80
        theirs, ours = await asyncio.open_connection("127.0.0.1", port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            path = urlsplit(address)._replace(scheme="", netloc="").geturl() or "/"
            lines = [
                line for line in head.split(b"\r\n")[1:-2] if not line.lower().startswith((b"proxy-", b"connection:"))
            ]
            ours.write(b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *lines, b"Connection: close", b"", b""]))
        await asyncio.gather(_copy(reader, ours), _copy(theirs, writer))


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await source.read(BLOCK_BYTES):
            sink.write(block)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def proxying() -> AsyncIterator[Proxy]:
    """Serve for the length of the block."""
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
