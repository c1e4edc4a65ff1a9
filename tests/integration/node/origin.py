"""A real HTTP origin on loopback: files with Range support, slow ones, refusals and redirects."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import anyio
from aiohttp import web

SLOW_BLOCK_BYTES = 64 * 1024
SLOW_PAUSE_S = 0.05


class Asked(NamedTuple):
    """One request as it arrived."""

    method: str
    path: str
    range: str
    headers: dict[str, str]
    at: float
    """Seconds of the loop's clock."""
    sent: int
    """Bytes of files that had been sent to anyone by then."""


class Origin:
    """Serves `files` by name; `/slow/<name>` drips them, `/status/<n>` refuses, `/to?<target>` redirects."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.bytes_sent = 0
        self.sending = 0
        """Answers with a file that are under way."""
        self.sending_max = 0
        self.retry_after = ""
        self.is_busy = False
        """It answers 429 to whoever asks for a file."""
        self.busy_after: int | None = None
        """… after so many requests."""
        self.port = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/file/{name}", self._file)
        app.router.add_get("/slow/{name}", self._file)
        app.router.add_get("/status/{code}", self._status)
        app.router.add_get("/to", self._redirect)
        app.router.add_get("/silent", self._silent)
        return app

    def _note(self, request: web.Request) -> None:
        about = request.method, request.path, request.headers.get("Range", ""), dict(request.headers)
        self.asked.append(Asked(*about, at=anyio.current_time(), sent=self.bytes_sent))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        if self.is_busy or (self.busy_after is not None and len(self.asked) > self.busy_after):
            return web.Response(status=429, headers={"Retry-After": self.retry_after})
        body = self.files.get(request.match_info["name"])
        if body is None:
            raise web.HTTPNotFound
        asked = request.http_range
        start = asked.start or 0
        if start >= len(body) > 0:
            raise web.HTTPRequestRangeNotSatisfiable
        stop = len(body) if asked.stop is None else asked.stop
        partial = "Range" in request.headers
        answer = web.StreamResponse(status=206 if partial else 200)
        answer.content_length = stop - start
        answer.headers["Accept-Ranges"] = "bytes"
        answer.headers["ETag"] = '"one"'
        if partial:
            answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
        await answer.prepare(request)
        if request.method != "HEAD":
            with suppress(ConnectionError):  # aria2 may be killed, or have what it wanted
                await self._send(answer, body[start:stop], slow=request.path.startswith("/slow/"))
        return answer

    async def _send(self, answer: web.StreamResponse, body: bytes, slow: bool) -> None:
        self.sending += 1
        self.sending_max = max(self.sending_max, self.sending)
        try:
            for offset in range(0, len(body), SLOW_BLOCK_BYTES):
                block = body[offset : offset + SLOW_BLOCK_BYTES]
                await answer.write(block)
                self.bytes_sent += len(block)
                if slow:
                    await anyio.sleep(SLOW_PAUSE_S)
            await answer.write_eof()
        finally:
            self.sending -= 1

    async def _status(self, request: web.Request) -> web.Response:
        self._note(request)
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.Response(status=int(request.match_info["code"]), headers=headers)

    async def _redirect(self, request: web.Request) -> web.Response:
        self._note(request)
        return web.Response(status=302, headers={"Location": request.query_string})

    async def _silent(self, request: web.Request) -> web.Response:
        self._note(request)
        await anyio.sleep_forever()
        return web.Response()


@asynccontextmanager
async def serve() -> AsyncIterator[Origin]:
    """An origin on a free port of loopback, listening while the block runs."""
    origin = Origin()
    runner = web.AppRunner(origin.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        origin.port = runner.addresses[0][1]
        yield origin
    finally:
        await runner.cleanup()
