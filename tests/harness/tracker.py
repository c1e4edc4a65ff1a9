"""A real BitTorrent tracker, and an aria2c that has a torrent's files and gives them to who asks, on loopback."""

import hashlib
import shutil
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

import anyio
import bencode2
from aiohttp import web

from broker.binaries import find_aria2c
from tests.harness.waiting import eventually

PIECE_BYTES = 32 << 10
AGAIN_S = 1


class Announce(NamedTuple):
    info_hash: str
    port: int
    event: str
    left: int


class Tracker:
    """Tells peers of each other (BEP 3, BEP 23), and remembers who asked."""

    def __init__(self) -> None:
        self.port = 0
        self.announces: list[Announce] = []
        self.hangs_on: frozenset[str] = frozenset()
        """Events that are never answered."""
        self._peers: dict[str, dict[tuple[str, int], int]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/announce"

    def seeders(self, info_hash: str) -> int:
        """How many have all of it."""
        return sum(left == 0 for left in self._peers.get(info_hash, {}).values())

    async def answer(self, request: web.Request) -> web.Response:
        raw = dict(pair.split("=", 1) for pair in request.rel_url.raw_query_string.split("&") if "=" in pair)
        found = Announce(
            unquote_to_bytes(raw["info_hash"]).hex(), int(raw["port"]), raw.get("event", ""), int(raw.get("left", 0))
        )
        self.announces.append(found)
        if found.event in self.hangs_on:
            await anyio.sleep_forever()
        swarm = self._peers.setdefault(found.info_hash, {})
        me = (request.remote or "127.0.0.1", found.port)
        if found.event == "stopped":
            swarm.pop(me, None)
        else:
            swarm[me] = found.left
        others = [peer for peer in swarm if peer != me]
        told = {
            b"interval": AGAIN_S,
            b"min interval": AGAIN_S,
            b"complete": sum(left == 0 for left in swarm.values()),
            b"incomplete": sum(left > 0 for left in swarm.values()),
            b"peers": b"".join(socket.inet_aton(host) + port.to_bytes(2, "big") for host, port in others),
        }
        return web.Response(body=bencode2.bencode(told))


@asynccontextmanager
async def tracking() -> AsyncIterator[Tracker]:
    """A tracker on a free port of loopback."""
    tracker = Tracker()
    application = web.Application()
    application.router.add_get("/announce", tracker.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        tracker.port = runner.addresses[0][1]
        yield tracker
    finally:
        await runner.cleanup()


class Made(NamedTuple):
    """A torrent and what it leads to."""

    torrent: bytes
    info_hash: str
    name: str
    files: Mapping[str, bytes]

    def magnet(self, tracker: str = "") -> str:
        return f"magnet:?xt=urn:btih:{self.info_hash}&dn={self.name}" + (f"&tr={quote(tracker)}" if tracker else "")


def _sha1(content: bytes) -> "hashlib._Hash":
    return hashlib.sha1(content, usedforsecurity=False)


def make(
    name: str, content: bytes | Mapping[str, bytes], *trackers: str, web_seeds: Sequence[str] = (), **more: Any
) -> Made:
    """A torrent of one file, or of a folder of several. `more`: fields of its info dictionary."""
    files = content if isinstance(content, Mapping) else {name: content}
    whole = b"".join(files.values())
    pieces = [_sha1(whole[at : at + PIECE_BYTES]).digest() for at in range(0, len(whole), PIECE_BYTES)]
    info: dict[bytes, Any] = {b"name": name.encode(), b"piece length": PIECE_BYTES, b"pieces": b"".join(pieces)}
    if isinstance(content, Mapping):
        listed = [
            {b"length": len(body), b"path": [part.encode() for part in path.split("/")]} for path, body in files.items()
        ]
        info[b"files"] = listed
    else:
        info[b"length"] = len(whole)
    info |= {key.encode(): value for key, value in more.items()}
    head: dict[bytes, Any] = {b"info": info}
    if web_seeds:
        head[b"url-list"] = [one.encode() for one in web_seeds]
    if trackers:
        head[b"announce-list"] = [[one.encode()] for one in trackers]
    return Made(bencode2.bencode(head), _sha1(bencode2.bencode(info)).hexdigest(), name, files)


@asynccontextmanager
async def seeding(folder: Path, tracker: Tracker, *torrents: Made, bytes_per_s: int = 0) -> AsyncIterator[None]:
    """An aria2c that has every file of these torrents, known to their tracker before the block begins."""
    shutil.rmtree(folder, ignore_errors=True)
    for made in torrents:
        top = folder / made.name if list(made.files) != [made.name] else folder
        for path, body in made.files.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_bytes(body)
        (folder / f"{made.info_hash}.torrent").write_bytes(made.torrent)
    (folder / "list").write_text("".join(f"{folder / made.info_hash}.torrent\n" for made in torrents))
    options = {
        "no-conf": "true",
        "dir": str(folder),
        "input-file": str(folder / "list"),
        "check-integrity": "true",
        "seed-ratio": "0",
        "seed-time": "1000",
        "enable-dht": "false",
        "enable-dht6": "false",
        "bt-enable-lpd": "false",
        "enable-peer-exchange": "false",
        "listen-port": "20000-29999",
        "max-overall-upload-limit": str(bytes_per_s),
        "quiet": "true",
    }
    process = await anyio.open_process(
        [str(find_aria2c("")), *(f"--{name}={value}" for name, value in options.items())],
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        start_new_session=True,
    )
    try:
        await eventually(
            lambda: all(tracker.seeders(made.info_hash) for made in torrents), within_s=20, what="the seeder"
        )
        yield
    finally:
        process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()
