"""A web server on loopback that serves a folder of real files: what the demo and the tests download from."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import anyio
from aiohttp import web

STOP_WITHIN_S = 1.0
"""For transfers that are still running when the block ends."""


class Origin:
    """Where it listens, and how often each file was asked for."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder.resolve()
        self.host = host
        self.port = 0
        self.requests: Counter[str] = Counter()
        """GET and HEAD requests by file, ranges included; only files that exist, which bounds it."""
        self.not_found = 0

    def __repr__(self) -> str:
        return f"<Origin {self.url('')} {self.requests.total()} requests, {self.not_found} not found>"

    def url(self, name: str) -> str:
        """The address of a file by its path relative to the folder, whether it exists or not."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/{quote(name)}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The file, or the range of it that was asked for; 404 for whatever is no file below the folder."""
        name = request.match_info["name"]
        file = self._file(name)
        if file is None:
            self.not_found += 1
            raise web.HTTPNotFound(text=f"no file {name!r} here\n")
        self.requests[name] += 1
        return web.FileResponse(file)

    def _file(self, name: str) -> Path | None:
        try:
            file = (self.folder / name).resolve()
            return file if file.is_relative_to(self.folder) and file.is_file() else None
        except (OSError, ValueError):  # a name no file system takes
            return None


@asynccontextmanager
async def serving(folder: Path, *, host: str = "127.0.0.1") -> AsyncIterator[Origin]:
    """Serve `folder` on a free port for the length of the block. Ranges work; nothing is logged."""
    origin = Origin(folder, host)
    app = web.Application()
    app.router.add_get("/{name:.*}", origin.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_WITHIN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        origin.port = runner.addresses[0][1]
        yield origin
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
