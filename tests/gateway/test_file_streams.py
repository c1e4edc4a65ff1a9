"""`/tasks/{id}/file` against a real cluster: what a task brought, whole, in parts, of several, and gone."""

import hashlib
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import psutil
import pytest
from aiohttp import web

from gateway.rest.files import FILES_OF_KEY_MAX
from schemas.apikey import Scope
from schemas.request import Request
from tests.gateway.streams import calling, operating, take_away
from tests.harness.metalinks import Entry, meta4
from tests.harness.processes import Up
from tests.harness.waiting import eventually
from tests.harness.web import make_key
from tests.integration.node.origin import Origin

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture
async def http(up: Up) -> AsyncIterator[aiohttp.ClientSession]:
    async with calling(up) as session:
        yield session


def url(task: str) -> str:
    return f"/api/v1/tasks/{task}/file"


async def submitted(up: Up, uri: str, **fields: Any) -> str:
    async with operating(up) as client:
        return await client.submit(Request(uris=(uri,), **fields))


async def stored(up: Up, origin: Origin, size: int, name: str = "f.bin") -> tuple[str, bytes]:
    """A completed task and its bytes."""
    body = random.Random(size).randbytes(size)
    origin.files["f"] = body
    task = await submitted(up, origin.url("file/f"), out=name)
    await up.state(task, "completed", "failed")
    return task, body


async def test_a_finished_file_is_given_whole(up: Up, origin: Origin, http: aiohttp.ClientSession) -> None:
    task, body = await stored(up, origin, 3 * MIB + 7, 'räder & "so".iso')
    async with http.get(url(task)) as answer:
        assert answer.status == 200
        assert await answer.read() == body
        assert answer.headers["ETag"] == f'"{hashlib.sha256(body).hexdigest()}"'
        assert int(answer.headers["Content-Length"]) == len(body)
        told = answer.content_disposition
        assert told is not None
        assert (told.type, told.filename) == ("attachment", 'räder & "so".iso')
    async with http.head(url(task)) as answer:
        assert (answer.status, int(answer.headers["Content-Length"])) == (200, len(body))
        etag = answer.headers["ETag"]
    async with http.get(url(task), headers={"If-None-Match": f'"other", {etag}'}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")


async def test_an_empty_file_is_given_too(up: Up, origin: Origin, http: aiohttp.ClientSession) -> None:
    task, _ = await stored(up, origin, 0, "empty")
    async with http.get(url(task)) as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_parts_of_it_are_given(up: Up, origin: Origin, http: aiohttp.ClientSession) -> None:
    task, body = await stored(up, origin, MIB + 1)
    parts = {"bytes=0-0": (0, 1), "bytes=600000-": (600000, MIB + 1), "bytes=-9": (MIB - 8, MIB + 1)}
    for asked, (start, end) in parts.items():
        async with http.get(url(task), headers={"Range": asked}) as answer:
            assert (answer.status, await answer.read()) == (206, body[start:end])
            assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(body)}"
            etag, moment = answer.headers["ETag"], answer.headers["Last-Modified"]
    async with http.get(url(task), headers={"Range": f"bytes={2 * MIB}-"}) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(body)}"
    for condition, status in ((etag, 206), (moment, 206), ('"other"', 200)):
        async with http.get(url(task), headers={"Range": "bytes=5-9", "If-Range": condition}) as answer:
            assert answer.status == status
            assert await answer.read() == (body[5:10] if status == 206 else body)


async def test_of_several_files_one_is_chosen(up: Up, origin: Origin, http: aiohttp.ClientSession) -> None:
    bodies = {"a.bin": b"a" * 1000, "deep/b.bin": b"b" * 2000}
    origin.files |= {"a.bin": bodies["a.bin"], "b.bin": bodies["deep/b.bin"]}
    entries = [Entry(path, [origin.url(f"file/{Path(path).name}")], body) for path, body in bodies.items()]
    origin.files["suite.meta4"] = meta4(*entries)
    task = await submitted(up, origin.url("file/suite.meta4"), dir="several")
    await up.state(task, "completed")
    async with http.get(url(task)) as answer:
        assert answer.status == 409
        assert "several/suite/deep/b.bin" in (await answer.json(content_type=None))["detail"]
    for path in ("several/suite/deep/b.bin", "deep/b.bin"):
        async with http.get(url(task), params={"path": path}) as answer:
            assert (answer.status, await answer.read()) == (200, bodies["deep/b.bin"])
    async with http.get(url(task), params={"path": "deep/c.bin"}) as answer:
        assert answer.status == 404
    async with http.delete(url(task)) as answer:
        assert answer.status == 200, await answer.text()
    assert not (up.downloads("node-1") / "several" / "suite").exists()


async def test_a_file_is_deleted_once_and_then_gone(up: Up, origin: Origin, http: aiohttp.ClientSession) -> None:
    task, _ = await stored(up, origin, 1000, "rm.bin")
    async with http.delete(url(task)) as answer:
        assert (answer.status, (await answer.json())["path"]) == (200, "rm.bin")
    assert not (up.downloads("node-1") / "rm.bin").exists()
    for ask in (http.get, http.delete):
        async with ask(url(task)) as answer:
            assert answer.status == 410


async def test_whose_file_it_is_not_is_told_that_there_is_none(up: Up, origin: Origin) -> None:
    task, _ = await stored(up, origin, 10, "mine.bin")
    key = await make_key(up, "ann", Scope.READ, Scope.SUBMIT)
    async with calling(up, key) as session:
        for ask in (session.get, session.delete):
            async with ask(url(task)) as answer:
                assert answer.status == 404
    assert (up.downloads("node-1") / "mine.bin").exists()


async def test_a_task_that_has_not_completed_has_no_file(up: Up, origin: Origin, http: aiohttp.ClientSession) -> None:
    task = await submitted(up, origin.url("file/x"), tags=("no-such-node",))
    await up.state(task, "queued")
    async with http.get(url(task)) as answer:
        assert answer.status == 409
        assert "no whole file yet" in (await answer.json(content_type=None))["detail"]
    for unknown in ("0123456789abcdef", "x"):
        async with http.get(url(unknown)) as answer:
            assert answer.status == 404


async def test_a_file_ends_when_its_key_is_revoked(up: Up, origin: Origin) -> None:
    task, body = await stored(up, origin, 48 * MIB, "long.bin")
    key = await make_key(up, "default", Scope.READ)
    async with calling(up, key) as session, session.get(url(task)) as answer:
        assert len(await answer.content.readexactly(MIB)) == MIB
        await take_away(up, key)

        async def is_refused() -> bool:
            async with session.head(url(task)) as again:
                return again.status == 401

        await eventually(is_refused)
        with pytest.raises(aiohttp.ClientPayloadError):
            assert len(await answer.read()) < len(body)


async def test_no_more_files_are_sent_than_a_key_may_have_however_they_are_asked_for(up: Up, origin: Origin) -> None:
    task, body = await stored(up, origin, MIB, "many.bin")
    statuses: list[int] = []

    async def ask(session: aiohttp.ClientSession) -> None:
        async with session.get(url(task)) as answer:
            statuses.append(answer.status)
            assert answer.status == 429 or await answer.read() == body

    node = up.pid("node-1")
    async with calling(up) as session, anyio.create_task_group() as tasks:
        os.kill(node, signal.SIGSTOP)  # each waits for what the node says
        try:
            for _ in range(FILES_OF_KEY_MAX + 3):
                tasks.start_soon(ask, session)
            await eventually(lambda: statuses == [429, 429, 429], within_s=6)
        finally:
            os.kill(node, signal.SIGCONT)
    assert statuses.count(200) == FILES_OF_KEY_MAX


@pytest.mark.slow
async def test_a_node_that_is_away_is_told_of_before_anything_is_sent(
    up: Up, origin: Origin, http: aiohttp.ClientSession
) -> None:
    task, body = await stored(up, origin, 1000, "away.bin")
    node = up.pid("node-1")
    os.kill(node, signal.SIGSTOP)
    try:
        async with http.get(url(task)) as answer:
            assert answer.status == 503
            assert "Retry-After" in answer.headers
    finally:
        os.kill(node, signal.SIGCONT)

    async def is_back() -> bool:
        async with http.get(url(task)) as answer:
            return answer.status == 200 and await answer.read() == body

    await eventually(is_back, within_s=30)


async def endless(request: web.Request) -> web.StreamResponse:
    """GIB bytes."""
    answer = web.StreamResponse(headers={"Content-Length": str(GIB)})
    await answer.prepare(request)
    if request.method == "GET":
        for number in range(GIB // MIB):
            await answer.write(number.to_bytes(8, "big") * (MIB // 8))
    return answer


@pytest.mark.slow
async def test_a_gibibyte_is_given_in_constant_memory(up: Up) -> None:
    application = web.Application()
    application.router.add_get("/gib", endless)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        task = await submitted(up, f"http://127.0.0.1:{port}/gib", out="gib", options={"split": "1"})
        view = await up.state(task, "completed", "failed", within_s=110)
        assert view["state"] == "completed", view
    finally:
        await runner.cleanup()
    gateway = psutil.Process(up.pid("gateway"))
    before = gateway.memory_info().rss
    most, size, digest = before, 0, hashlib.sha256()
    began = anyio.current_time()
    async with calling(up, within_s=100) as session, session.get(url(task)) as answer:
        async for chunk in answer.content.iter_chunked(MIB):
            size += len(chunk)
            digest.update(chunk)
            most = max(most, gateway.memory_info().rss)
    assert size == GIB
    assert f"sha-256={digest.hexdigest()}" == view["digest"]
    speed = GIB / MIB / (anyio.current_time() - began)
    print(f"{speed:.0f} MiB/s; memory of the gateway: {before / MIB:.0f} MiB before, {most / MIB:.0f} MiB at most")
    assert most - before < 48 * MIB
