"""An HTTP origin that misbehaves as it is told: raw TCP, so that nothing mends its answers on the way.

Each file has a `Manner`, which a test may replace while the origin runs.
"""

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal, NamedTuple

import anyio
from anyio.abc import SocketAttribute, SocketStream
from msgspec import Struct
from msgspec.structs import replace

BLOCK_BYTES = 16 << 10
HEADERS_BYTES_MAX = 64 << 10
TLS_HANDSHAKE = b"\x16\x03"
_ENDED = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class Manner(Struct, frozen=True, kw_only=True):
    """How one file is served. The defaults behave."""

    body: bytes = b""
    etag: str = ""
    """`{n}` in it counts the requests."""
    last_modified: str = ""
    extra: tuple[str, ...] = ()
    """Header lines to add."""
    status: int = 200
    """What is answered; anything but 200 goes without the body."""
    retry_after: str = ""
    location: str = ""
    """With a redirecting status; `{n}` in it counts the requests."""
    ranges: Literal["honour", "ignore", "shift", "refuse"] = "honour"
    """`ignore`: 200 and all of it; `shift`: 206 with the Content-Range of other bytes; `refuse`: 416."""
    length: Literal["told", "chunked", "close"] = "told"
    """How the end of the body is told."""
    length_off_by: int = 0
    """Added to the Content-Length of a GET."""
    cut_at: int | None = None
    """Position in the file at which an answer ends early …"""
    cut_how: Literal["close", "reset", "stall"] = "close"
    """… and how."""
    bytes_per_s: float = 0.0
    """0: as fast as it goes."""
    head: str | int = "same"
    """`silent`: HEAD is never answered; a number: the status that it gets."""
    head_length: int | None = None
    """The Content-Length of HEAD; None: the true one."""
    is_silent: bool = False
    """Nothing is ever answered."""


class Asked(NamedTuple):
    """One request as it arrived."""

    method: str
    name: str
    first: int | None
    """The first byte of the range asked for."""
    last: int | None
    headers: dict[str, str]
    """By small names."""


class BadOrigin:
    """Listens on loopback; `manners` by the file's name."""

    def __init__(self) -> None:
        self.manners: dict[str, Manner] = {}
        self.asked: list[Asked] = []
        self.port = 0
        self._cut = anyio.Event()

    def __repr__(self) -> str:
        return f"<BadOrigin at port {self.port}: {', '.join(self.manners)}>"

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def gets(self, name: str) -> list[Asked]:
        return [one for one in self.asked if (one.method, one.name) == ("GET", name)]

    def cut_all(self) -> None:
        """Close every connection now; further ones are welcome."""
        self._cut.set()
        self._cut = anyio.Event()

    async def serve(self, stream: SocketStream) -> None:
        """Answer on one connection until either side closes it."""

        async def close_when(cut: anyio.Event) -> None:
            await cut.wait()
            tasks.cancel_scope.cancel()

        async with stream, anyio.create_task_group() as tasks:
            tasks.start_soon(close_when, self._cut)
            await self._talk(stream)
            tasks.cancel_scope.cancel()

    async def _talk(self, stream: SocketStream) -> None:
        with suppress(*_ENDED):
            rest = b""
            while True:
                while b"\r\n\r\n" not in rest:
                    rest += await stream.receive()
                    if len(rest) > HEADERS_BYTES_MAX or rest.startswith(TLS_HANDSHAKE):
                        return
                head, _, rest = rest.partition(b"\r\n\r\n")
                asked = _parsed(head.decode("latin-1"))
                self.asked.append(asked)
                if not await self._answer(stream, asked):
                    return

    async def _answer(self, stream: SocketStream, asked: Asked) -> bool:
        """Whether the connection may be used again."""
        manner = self.manners.get(asked.name, Manner(status=404))
        if manner.is_silent or (asked.method == "HEAD" and manner.head == "silent"):
            await anyio.sleep_forever()
        status = manner.head if asked.method == "HEAD" and isinstance(manner.head, int) else manner.status
        if status != 200:
            location = manner.location.replace("{n}", str(len(self.asked)))
            lines = [f"Location: {location}"] if location else []
            manner = replace(manner, etag="")
            await _send_head(stream, status, [*lines, *_common(manner), "Content-Length: 0"])
            return True
        if asked.first is not None and asked.method == "GET" and manner.ranges == "refuse":
            await _send_head(stream, 416, ["Content-Length: 0"])
            return True
        return await self._send_file(stream, asked, manner)

    async def _send_file(self, stream: SocketStream, asked: Asked, manner: Manner) -> bool:
        size = len(manner.body)
        manner = replace(manner, etag=manner.etag.replace("{n}", str(len(self.asked))))
        ranged = asked.first is not None and manner.ranges in ("honour", "shift")
        if ranged and asked.first is not None and asked.first >= size:
            await _send_head(stream, 416, ["Content-Length: 0", f"Content-Range: bytes */{size}"])
            return True
        first = asked.first if ranged and asked.first is not None else 0
        end = min(size, asked.last + 1) if ranged and asked.last is not None else size
        lines = _common(manner)
        if manner.ranges == "honour":
            lines.append("Accept-Ranges: bytes")
        if ranged:
            off = 1 if manner.ranges == "shift" else 0
            lines.append(f"Content-Range: bytes {first + off}-{end - 1 + off}/{size + off}")
        if asked.method == "HEAD":
            told = size if manner.head_length is None else manner.head_length
            ends = [] if manner.length != "told" else [f"Content-Length: {told}"]
            await _send_head(stream, 200, lines + ends)
            return True
        ends = {
            "told": [f"Content-Length: {end - first + manner.length_off_by}"],
            "chunked": ["Transfer-Encoding: chunked"],
            "close": ["Connection: close"],
        }[manner.length]
        await _send_head(stream, 206 if ranged else 200, lines + ends)
        return await _send_body(stream, manner, first, end)


async def _send_body(stream: SocketStream, manner: Manner, first: int, end: int) -> bool:
    stop = end if manner.cut_at is None else max(first, min(end, manner.cut_at))
    block = max(1, min(BLOCK_BYTES, int(manner.bytes_per_s / 4))) if manner.bytes_per_s else BLOCK_BYTES
    for offset in range(first, stop, block):
        piece = manner.body[offset : min(offset + block, stop)]
        framed = b"%x\r\n%b\r\n" % (len(piece), piece) if manner.length == "chunked" else piece
        await stream.send(framed)
        if manner.bytes_per_s:
            await anyio.sleep(len(piece) / manner.bytes_per_s)
    if stop < end or manner.length_off_by > 0:
        if manner.cut_how == "stall":
            await anyio.sleep_forever()
        if manner.cut_how == "reset":
            raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - this is anyio, not Django
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    if manner.length == "chunked":
        await stream.send(b"0\r\n\r\n")
    return manner.length != "close" and not manner.length_off_by


async def _send_head(stream: SocketStream, status: int, lines: list[str]) -> None:
    await stream.send("\r\n".join([f"HTTP/1.1 {status} As told", *lines, "", ""]).encode("latin-1"))


def _common(manner: Manner) -> list[str]:
    named = {"ETag": manner.etag, "Last-Modified": manner.last_modified, "Retry-After": manner.retry_after}
    return [*(f"{name}: {value}" for name, value in named.items() if value), *manner.extra]


def _parsed(head: str) -> Asked:
    start, *lines = head.split("\r\n")
    method, path, _ = start.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    first, _, last = headers.get("range", "").removeprefix("bytes=").partition("-")
    return Asked(
        method, path.lstrip("/").partition("?")[0], int(first) if first else None, int(last) if last else None, headers
    )


@asynccontextmanager
async def misbehaving() -> AsyncIterator[BadOrigin]:
    """An origin on a free port of loopback, listening while the block runs."""
    origin = BadOrigin()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    origin.port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - this is anyio, not Django
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, origin.serve)
        yield origin
        tasks.cancel_scope.cancel()
