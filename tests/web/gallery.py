"""A cluster that looks like work: hosts with names, files of all sizes, some that fail.

Every name is this machine: the nodes download through the origin itself, which is their proxy.
"""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from aiohttp import web

from tests.harness.processes import Up, running_up
from tests.harness.web import Web, browsing

NODES = 4
TAGS = ("node-1:eu", "node-1:ssd", "node-2:eu", "node-2:archive", "node-3:us", "node-3:ssd", "node-4:us")
MIB = 1 << 20
SLOW = {
    "debian-13.2.0-amd64-netinst.iso": (784, 0.30),
    "fedora-server-43-x86_64.iso": (310, 0.24),
    "planet-261116.osm.pbf": (2400, 0.62),
    "imagenet-1k-train-shard-0042.tar": (1180, 0.45),
    "common-crawl-2026-47-segment-1733066.warc.gz": (960, 0.18),
    "llm-weights-8b-q4_k_m.gguf": (640, 0.55),
    "gnome-nightly-aarch64.img.xz": (260, 0.20),
    "wikipedia-en-20261101-pages-articles.xml.bz2": (880, 0.34),
    "postgres-base-backup-2026-11-23.tar.zst": (420, 0.28),
}
"""Mebibytes, and mebibytes a second of each connection."""
QUICK = (
    "SHA256SUMS",
    "release-notes.html",
    "python-3.14.1-amd64.tar.xz",
    "nats-server-v2.15.1-linux-amd64.tar.gz",
    "dataset-card.json",
    "vmlinuz-6.18",
    "tokenizer.model",
    "initrd.img",
    "firmware-atheros.deb",
    "aria2-1.37.0.tar.xz",
)
GONE, BUSY = "old.example.net", "busy.example.com"
LONG = "a-report-of-the-committee-on-very-long-file-names-and-what-became-of-them-annex-" + "b" * 90 + ".pdf"


def _application() -> web.Application:
    app = web.Application()
    app.router.add_get("/{path:.*}", _answer)
    return app


async def _answer(request: web.Request) -> web.StreamResponse:
    """As a proxy is asked: `GET http://host/path`."""
    host, name = request.host, Path(request.path).name
    if host == GONE:
        raise web.HTTPNotFound
    if host == BUSY:
        return web.Response(status=503, headers={"Retry-After": "240"})
    mebibytes, rate = SLOW.get(name, (0, 0.0))
    size = mebibytes * MIB or 4096 + sum(map(ord, name)) * 911
    asked_range = request.http_range
    start, stop = asked_range.start or 0, asked_range.stop or size
    is_part = "Range" in request.headers
    answer = web.StreamResponse(status=206 if is_part else 200, headers={"Accept-Ranges": "bytes", "ETag": '"one"'})
    answer.content_length = stop - start
    if is_part:
        answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    await answer.prepare(request)
    if request.method != "HEAD":
        with suppress(ConnectionError):
            await _send(answer, stop - start, rate)
    return answer


async def _send(answer: web.StreamResponse, left: int, rate: float) -> None:
    block = bytes(64 << 10)
    while left > 0:
        part = block[:left]
        await answer.write(part)
        left -= len(part)
        if rate:
            # Lines are never quite alike from one minute to the next.
            swing = 1 + 0.35 * math.sin(time.monotonic() / 37) + 0.15 * math.sin(time.monotonic() / 7)
            await anyio.sleep(len(part) / (rate * MIB * swing))


@asynccontextmanager
async def gallery(folder: Path) -> AsyncIterator[tuple[Up, Web]]:
    """The cluster at work, and the gateway as its administrator asks it."""
    runner = web.AppRunner(_application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    tags = [part for tag in TAGS for part in ("--node-tag", tag)]
    settings = {"DOWNDRAFT_NODE_UPSTREAM_PROXY": f"http://127.0.0.1:{port}"}
    try:
        with running_up(folder, "--nodes", str(NODES), "--slots", "4", *tags, gateway=True, **settings) as up:
            async with browsing(up) as client:
                yield up, client
    finally:
        await runner.cleanup()


def requests() -> list[dict[str, Any]]:
    """What is asked of it, the slow ones first."""
    hosts = ("releases.example.org", "mirror.example.org", "data.example.com")
    slow = [
        {"uris": [f"http://{hosts[number % 3]}/pub/{name}"], "labels": {"project": ("mirror", "models")[number % 2]}}
        for number, name in enumerate(SLOW)
    ]
    slow[2] |= {"priority": 5, "tags": ["ssd"]}
    slow[5] |= {"uris": [*slow[5]["uris"], "http://mirror.example.org/models/llm-weights-8b-q4_k_m.gguf"]}
    quick = [{"uris": [f"http://{hosts[number % 3]}/pub/{name}"]} for number, name in enumerate(QUICK)]
    failing = [
        {"uris": [f"http://{GONE}/2019/kernel-4.19.tar.gz"]},
        {"uris": [f"http://{GONE}/2019/changelog.txt"]},
        {"uris": [f"http://{BUSY}/api/export.csv"], "labels": {"team": "finance"}},
        {"uris": ["http://releases.example.org/pub/tampered.iso"], "checksum": "sha-256=" + "0" * 64},
    ]
    odd = [
        {"uris": [f"http://mirror.example.org/{LONG}"], "labels": {f"label-{n}": f"value-{n}" for n in range(8)}},
        {"uris": ["http://data.example.com/archive/tape-0001.tar"], "tags": ["tape", "cold", "room=b12"]},
        {"uris": ["http://data.example.com/later/quarterly.zip"], "paused": True},
    ]
    return [*slow, *quick, *failing, *odd]
