"""The drill's web server, a process of its own: made-up files, some slowly, some refused.

python -m tools.drill.origin --seed N --folder DIR       prints its port, serves until its stdin closes
"""

import argparse
import asyncio
import sys
from contextlib import suppress

from aiohttp import web

from tools.drill.wares import Nature, blocks

DRIP_EVERY_S = 0.1
"""Between two blocks of what is served slowly: 640 KiB a second for each connection."""
RETRY_AFTER_S = 1
STOP_WITHIN_S = 0.1
REFUSED_FIRST = {Nature.BUSY: 503, Nature.BROKEN: 500}
DRIPPED = frozenset({Nature.DRIPPED, Nature.SLOW})


class Origin:
    """Serves `/<nature>/<bytes>/<name>`."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._refused: set[str] = set()
        """Files that were refused once, as they are to be; as many as there are files of that kind."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name, size = request.match_info["name"], int(request.match_info["bytes"])
        nature = Nature(request.match_info["nature"])
        if nature is Nature.MISSING:
            raise web.HTTPNotFound
        if request.method == "GET" and nature in REFUSED_FIRST and name not in self._refused:
            self._refused.add(name)
            return web.Response(status=REFUSED_FIRST[nature], headers={"Retry-After": str(RETRY_AFTER_S)})
        asked = request.http_range
        start, stop = asked.start or 0, size if asked.stop is None else min(asked.stop, size)
        if start >= stop:
            raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
        is_part = "Range" in request.headers
        answer = web.StreamResponse(status=206 if is_part else 200)
        answer.content_length = stop - start
        answer.headers.update({"Accept-Ranges": "bytes", "ETag": f'"{self._seed}-{name}"'})
        if is_part:
            answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        await answer.prepare(request)
        if request.method == "GET":
            with suppress(ConnectionError):  # aria2c may have been killed
                await self._send(answer, nature, name, start, stop)
        return answer

    async def _send(self, answer: web.StreamResponse, nature: Nature, name: str, start: int, stop: int) -> None:
        for block in blocks(self._seed, name, start, stop):
            await answer.write(block)
            if nature in DRIPPED:
                await asyncio.sleep(DRIP_EVERY_S)
        await answer.write_eof()


async def serve(seed: int) -> None:
    """Until stdin closes: whoever started it is gone then."""
    app = web.Application()
    app.router.add_get(r"/{nature}/{bytes:\d+}/{name}", Origin(seed).answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_WITHIN_S)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", help="of the drill: by it the drill's guard knows its own processes")
    asyncio.run(serve(parser.parse_args().seed))
