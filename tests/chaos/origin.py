"""A real HTTP origin whose bodies take as long as a test wants, and hurry when it has seen enough."""

import hashlib
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import anyio
from aiohttp import web

BLOCK_BYTES = 16 * 1024


class Asked(NamedTuple):
    """A GET as it arrived."""

    name: str
    start: int
    """The first byte asked for."""
    agent: str
    """`aria2/…`, or what the node asks with before it."""
    at: float
    """Unix seconds."""


class Body:
    """What stands under one name."""

    def __init__(self, data: bytes, bytes_per_s: float) -> None:
        self.data = data
        self.digest = f"sha-256={hashlib.sha256(data).hexdigest()}"
        self.sent = 0
        """Bytes, all connections together."""
        self.bytes_per_s = bytes_per_s
        """Of each connection, and there may be eight; 0: as fast as it goes. It holds from the next block on."""

    def hurry(self) -> None:
        """Send the rest, and whatever is asked for later, as fast as it goes."""
        self.bytes_per_s = 0


class Origin:
    """Serves made-up bodies under `/<name>`, ranges included."""

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.bodies: dict[str, Body] = {}
        self.asked: list[Asked] = []

    def put(self, name: str, size: int, *, bytes_per_s: float = 0) -> str:
        """Make a body and return its address. The same name and size is the same body in every run."""
        self.bodies[name] = Body(random.Random(f"{name} {size}").randbytes(size), bytes_per_s)
        return f"http://{self.host}:{self.port}/{name}"

    def hurry(self) -> None:
        for body in self.bodies.values():
            body.hurry()

    def by_aria2(self, name: str) -> list[Asked]:
        """What aria2 asked for of a body, oldest first."""
        return [asked for asked in self.asked if asked.name == name and asked.agent.startswith("aria2/")]

    def starts(self, name: str) -> list[int]:
        """From which byte aria2 went on each time."""
        return [asked.start for asked in self.by_aria2(name)]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        body = self.bodies.get(name)
        if body is None:
            raise web.HTTPNotFound
        size = len(body.data)
        start, stop = request.http_range.start or 0, request.http_range.stop or size
        if request.method == "GET":
            self.asked.append(Asked(name, start, request.headers.get("User-Agent", ""), time.time()))
        if start >= size > 0:
            raise web.HTTPRequestRangeNotSatisfiable
        partial = "Range" in request.headers
        answer = web.StreamResponse(status=206 if partial else 200)
        answer.content_length = stop - start
        answer.headers.update({"Accept-Ranges": "bytes", "ETag": f'"{body.digest}"'})
        if partial:
            answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        await answer.prepare(request)
        if request.method == "GET":
            with suppress(ConnectionError):  # whoever asked was killed, or has what it wanted
                await self._send(answer, body, start, stop)
        return answer

    async def _send(self, answer: web.StreamResponse, body: Body, start: int, stop: int) -> None:
        for offset in range(start, stop, BLOCK_BYTES):
            end = min(offset + BLOCK_BYTES, stop)
            await answer.write(body.data[offset:end])
            body.sent += end - offset
            if body.bytes_per_s:
                await anyio.sleep((end - offset) / body.bytes_per_s)
        await answer.write_eof()


@asynccontextmanager
async def serving(host: str = "127.0.0.1") -> AsyncIterator[Origin]:
    """An origin on a free port, in this very process."""
    origin = Origin()
    origin.host = host
    app = web.Application()
    app.router.add_get("/{name}", origin.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        origin.port = runner.addresses[0][1]
        yield origin
    finally:
        origin.hurry()
        await runner.cleanup()
