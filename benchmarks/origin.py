"""The origin of the measurements, a process of its own: fixed bodies from memory, and files by sendfile.

    python -m benchmarks.origin --folder DIR       prints its port, serves until its stdin closes

`/small/<n>` is 16 KiB; `/files/<name>` a file of DIR, ranges included; `/asked/<key>` notes its first GET.
`/paced/<n>` is 16 KiB, the last byte PACED_S after the first, and notes when each GET began and ended (`/spans`);
`/slow/<n>` never ends: SLOW_BYTES_PER_S of a file of SLOW_BYTES.
"""

import argparse
import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path

from aiohttp import web

SMALL = bytes(range(256)) * 64
PACED_S = 1.0
SLOW_BYTES = 64 << 20
SLOW_BYTES_PER_S = 16 << 10


class Served:
    """What the handlers share."""

    def __init__(self) -> None:
        self.first_asked: dict[str, float] = {}
        self.spans: list[tuple[float, float]] = []

    async def small(self, request: web.Request) -> web.Response:
        return web.Response(body=SMALL)

    async def asked(self, request: web.Request) -> web.Response:
        """16 KiB; the moment of the first GET is kept (monotonic seconds, the same clock in every process)."""
        if request.method == "GET":
            self.first_asked.setdefault(request.match_info["key"], time.monotonic())
        return web.Response(body=SMALL)

    async def times(self, request: web.Request) -> web.Response:
        """All moments since the last call, by key."""
        told, self.first_asked = self.first_asked, {}
        return web.json_response(told)

    async def paced(self, request: web.Request) -> web.StreamResponse:
        began = time.monotonic()
        answer = web.StreamResponse()
        answer.content_length = len(SMALL)
        await answer.prepare(request)
        if request.method == "GET":
            await answer.write(SMALL[:-1])
            await asyncio.sleep(PACED_S)
            await answer.write(SMALL[-1:])
            self.spans.append((began, time.monotonic()))
        return answer

    async def told_spans(self, request: web.Request) -> web.Response:
        """Of all paced GETs since the last call, when each began and ended."""
        told, self.spans = self.spans, []
        return web.json_response(told)

    async def slow(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.content_length = SLOW_BYTES
        await answer.prepare(request)
        with suppress(ConnectionResetError):
            while request.method == "GET":
                await answer.write(SMALL[:SLOW_BYTES_PER_S])
                await asyncio.sleep(1)
        return answer


async def serve(folder: Path) -> None:
    served = Served()
    app = web.Application()
    app.router.add_get("/small/{n}", served.small)
    app.router.add_get("/asked/{key}", served.asked)
    app.router.add_get("/times", served.times)
    app.router.add_get("/paced/{n}", served.paced)
    app.router.add_get("/spans", served.told_spans)
    app.router.add_get("/slow/{n}", served.slow)
    app.router.add_static("/files", folder)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    asyncio.run(serve(parser.parse_args().folder))
