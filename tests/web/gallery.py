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
RUNNING = 9
"""Slow ones at once."""
SLOW = {
    "debian-13.{n}.0-amd64-netinst.iso": (284, 0.16),
    "fedora-server-4{n}-x86_64.iso": (190, 0.12),
    "planet-2611{n:02}.osm.pbf": (620, 0.24),
    "imagenet-1k-train-shard-{n:04}.tar": (310, 0.2),
    "common-crawl-2026-47-segment-17330{n:02}.warc.gz": (240, 0.09),
    "llm-weights-{n}b-q4_k_m.gguf": (340, 0.21),
    "gnome-nightly-{n:02}-aarch64.img.xz": (160, 0.1),
    "wikipedia-en-202611{n:02}-pages-articles.xml.bz2": (280, 0.15),
    "postgres-base-backup-2026-11-{n:02}.tar.zst": (220, 0.13),
}
"""Mebibytes, and mebibytes a second of each connection; by name, `n` for a number."""
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
    kind = int(request.query.get("part", "-1"))
    mebibytes, rate = list(SLOW.values())[kind] if kind >= 0 else (0, 0.0)
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
    proxy = f"http://127.0.0.1:{port}"
    tags = [part for tag in TAGS for part in ("--node-tag", tag)]
    try:
        with running_up(
            folder,
            *("--nodes", str(NODES), "--slots", "4", *tags),
            gateway=True,
            DOWNDRAFT_NODE_UPSTREAM_PROXY=proxy,
        ) as up:
            async with browsing(up) as client:
                yield up, client
    finally:
        await runner.cleanup()


HOSTS = ("releases.example.org", "mirror.example.org", "data.example.com")


def slow(number: int) -> dict[str, Any]:
    """The request of a download that takes minutes, each another one."""
    kind = number % len(SLOW)
    name = list(SLOW)[kind].format(n=3 + number // len(SLOW))
    more: dict[str, Any] = {"priority": 5, "tags": ["ssd"]} if number % 9 == 2 else {}
    return {
        "uris": [f"http://{HOSTS[number % 3]}/pub/{name}?part={kind}"],
        "labels": {"project": ("mirror", "models")[number % 2]},
        "name": name,
        **more,
    }


def requests() -> list[dict[str, Any]]:
    """What is asked of it at first, the slow ones first."""
    quick = [{"uris": [f"http://{HOSTS[number % 3]}/pub/{name}"]} for number, name in enumerate(QUICK)]
    failing: list[dict[str, Any]] = [
        {"uris": [f"http://{GONE}/2019/kernel-4.19.tar.gz"]},
        {"uris": [f"http://{GONE}/2019/changelog.txt"]},
        {"uris": [f"http://{BUSY}/api/export.csv"], "labels": {"team": "finance"}},
        {"uris": ["http://releases.example.org/pub/tampered.iso"], "checksum": "sha-256=" + "0" * 64},
    ]
    odd: list[dict[str, Any]] = [
        {"uris": [f"http://mirror.example.org/{LONG}"], "labels": {f"label-{n}": f"value-{n}" for n in range(8)}},
        {"uris": ["http://data.example.com/archive/tape-0001.tar"], "tags": ["tape", "cold", "room=b12"]},
        {"uris": ["http://data.example.com/later/quarterly.zip"], "paused": True},
    ]
    return [*(slow(number) for number in range(RUNNING)), *quick, *failing, *odd]


async def keep_busy(client: Web) -> None:
    """As many run at any time; now and then a quick one. Until it is cancelled."""
    begun = RUNNING
    while True:
        await anyio.sleep(7)
        active = (await client.get("/api/v1/tasks/count", params={"state": "active"})).json["count"]
        asked = [slow(begun + number) for number in range(RUNNING - active)]
        begun += len(asked)
        asked.append({"uris": [f"http://{HOSTS[begun % 3]}/nightly/{int(time.time())}/{QUICK[begun % len(QUICK)]}"]})
        await client.ask("POST", "/api/v1/tasks", json=asked)
