"""The origin in a container of its own: `/<seed>-<size>-<bytes a second>` are that many bytes, the same each time.

Ranges work, and each connection is as slow as its address says; 0: as fast as it goes.
"""

import asyncio
import random
from contextlib import suppress

from aiohttp import web

BLOCK_BYTES = 64 << 10


def body(seed: int, size: int) -> bytes:
    """What is served under `/<seed>-<size>-…`."""
    return random.Random(seed).randbytes(size)


async def answer(request: web.Request) -> web.StreamResponse:
    seed, size, bytes_per_s = map(int, request.match_info["name"].split("-"))
    asked = request.http_range
    start, stop = asked.start or 0, min(asked.stop or size, size)
    is_part = "Range" in request.headers
    response = web.StreamResponse(status=206 if is_part else 200)
    response.headers.update({"Accept-Ranges": "bytes", "ETag": f'"{seed}-{size}"'})
    if is_part:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    response.content_length = stop - start
    await response.prepare(request)
    if request.method == "GET":
        data = body(seed, size)
        with suppress(ConnectionError):  # whoever asked was killed
            for offset in range(start, stop, BLOCK_BYTES):
                block = data[offset : min(offset + BLOCK_BYTES, stop)]
                await response.write(block)
                if bytes_per_s:
                    await asyncio.sleep(len(block) / bytes_per_s)
    return response


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get(r"/{name:\d+-\d+-\d+}", answer)
    web.run_app(app, port=8000, print=None)
