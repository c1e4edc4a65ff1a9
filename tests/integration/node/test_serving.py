"""A node's file service on a real broker: what it serves, what it never does, and how much of it at once."""

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskStatus

from broker import filestream
from broker.connection import Connection
from broker.filestream import CHUNK_BYTES, WINDOW_MAX, FileUnavailable, NodeAway, NodeFile, look, reading
from broker.listen import Heard, listening
from broker.roles import Role
from node.serving import READ_THREADS
from schemas import codec
from schemas import subjects as s
from schemas.transfer import CHUNK_BYTES_MAX, READ, TROUBLE_HEADER, FileRefusal, Trouble
from tests.harness.broker import Broker
from tests.harness.fileservice import NODE, TASK, Watched, read_all, serving
from tests.harness.waiting import eventually, stays


@pytest.fixture
def finished(tmp_path: Path) -> Watched:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    return Watched(tmp_path / "downloads")


@pytest.fixture
async def asker(broker: Broker, finished: Watched) -> AsyncIterator[Connection]:
    """An operator beside a node that serves."""
    async with serving(broker, finished), broker.connected(Role.OPERATOR) as connection:
        yield connection


def body_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


async def refused(asker: Connection, path: str, size: int = 6) -> Trouble:
    """Why a file is not served."""
    with pytest.raises(FileUnavailable) as caught, anyio.fail_after(10):
        await look(asker, NodeFile(NODE, TASK, path, size))
    return caught.value.trouble


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 20 * CHUNK_BYTES + 7])
async def test_a_file_arrives_whole_and_in_order(asker: Connection, finished: Watched, size: int) -> None:
    file = finished.put("a/b.bin", body_of(size))
    await look(asker, file)
    assert await read_all(asker, file) == body_of(size)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (5, 5), (0, 1), (7, CHUNK_BYTES + 7), (CHUNK_BYTES, None), (3 * CHUNK_BYTES, None)]
)
async def test_a_range_is_just_these_bytes(asker: Connection, finished: Watched, start: int, end: int | None) -> None:
    body = body_of(3 * CHUNK_BYTES)
    file = finished.put("f", body)
    assert await read_all(asker, file, start, end) == body[start:end]


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "a/../../secret",
        "a/../b",
        "/etc/hostname",
        "..",
        ".downdraft/00000000000000bb/data",
        ".Downdraft/00000000000000bb/data",
        "./.downdraft/00000000000000bb/data",
    ],
)
async def test_nothing_outside_the_folder_or_in_staging_is_served(
    asker: Connection, finished: Watched, path: str
) -> None:
    finished.put(".downdraft/00000000000000bb/data", b"secret")
    finished.put("a/b", b"secret")
    finished.put("b", b"secret")
    assert await refused(asker, path) is Trouble.REFUSED


@pytest.mark.parametrize("path", ["", ".", "a\0b"])
async def test_what_is_no_path_is_refused(asker: Connection, path: str) -> None:
    assert await refused(asker, path) is Trouble.INVALID


@pytest.mark.parametrize("target", ["../secret", "/etc/hostname", "b", "pipe", "."])
async def test_a_link_is_no_finished_file_wherever_it_leads(asker: Connection, finished: Watched, target: str) -> None:
    finished.put("b", b"secret")
    (finished.downloads / "link").symlink_to(target)
    assert await refused(asker, "link") is Trouble.REFUSED


async def test_a_linked_folder_is_left_out_only_where_it_leads_out_or_to_staging(
    asker: Connection, finished: Watched
) -> None:
    file = finished.put("inside/f", b"secret")
    finished.put(".downdraft/00000000000000bb/data", b"secret")
    for name, target in (("in", "inside"), ("out", ".."), ("staging", ".downdraft/00000000000000bb"), ("loop", "loop")):
        (finished.downloads / name).symlink_to(target)
    assert await read_all(asker, file._replace(path="in/f")) == b"secret"
    assert await refused(asker, "out/secret") is Trouble.REFUSED
    assert await refused(asker, "staging/data") is Trouble.REFUSED
    assert await refused(asker, "loop/f") is not Trouble.DISK


async def test_a_pipe_and_a_folder_are_refused_without_waiting(asker: Connection, finished: Watched) -> None:
    os.mkfifo(finished.downloads / "pipe")
    (finished.downloads / "folder").mkdir()
    assert await refused(asker, "pipe") is Trouble.REFUSED
    assert await refused(asker, "folder") is Trouble.REFUSED


async def test_a_missing_file_and_one_of_another_size_are_told_apart(asker: Connection, finished: Watched) -> None:
    finished.put("f", b"seven b")
    assert await refused(asker, "f") is Trouble.CHANGED
    assert await refused(asker, "nowhere/f") is Trouble.GONE
    assert await refused(asker, "f/f") is Trouble.GONE
    assert await refused(asker, "n" * 300) is Trouble.GONE


async def test_a_file_that_shrinks_in_the_middle_ends_the_reading(asker: Connection, finished: Watched) -> None:
    file = finished.put("f", body_of(40 * CHUNK_BYTES))
    with pytest.raises(FileUnavailable) as caught:
        async with reading(asker, file) as chunks:
            async for _ in chunks:
                os.truncate(finished.downloads / "f", CHUNK_BYTES)
    assert caught.value.trouble is Trouble.CHANGED


@pytest.mark.parametrize(
    "query",
    [
        b"no JSON",
        b"{}",
        b'{"task":"x","path":"f","bytes":1}',
        b'{"task":"00000000000000aa","path":"f","bytes":-1}',
        b'{"task":"00000000000000aa","path":"f","bytes":1,"offset":1,"length":1}',
        b'{"task":"00000000000000aa","path":"f","bytes":9999999,"length":%d}' % (CHUNK_BYTES_MAX + 1),
    ],
)
async def test_a_question_that_makes_no_sense_is_answered_so(
    asker: Connection, finished: Watched, query: bytes
) -> None:
    file = finished.put("f", b"1")
    answer = await asker.request(s.node_verb(NODE, READ), query)
    assert (answer.headers or {})[TROUBLE_HEADER] == Trouble.INVALID
    assert codec.decode(answer.data, FileRefusal).said
    assert await read_all(asker, file) == b"1", "and the next one is answered as ever"


async def test_many_readers_at_once_keep_to_the_nodes_threads(
    broker: Broker, asker: Connection, finished: Watched
) -> None:
    body = body_of(6 * CHUNK_BYTES)
    file = finished.put("f", body)
    finished.pause_s = 0.005
    got: list[bytes] = []

    async def read(connection: Connection) -> None:
        got.append(await read_all(connection, file))

    async with broker.connected(Role.GATEWAY) as gateway, anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(read, asker)
            tasks.start_soon(read, gateway)
    assert got == [body] * 24
    assert 1 < finished.at_once_most <= READ_THREADS


async def test_a_reader_that_stops_taking_stops_the_asking(asker: Connection, finished: Watched) -> None:
    file = finished.put("f", body_of(60 * CHUNK_BYTES))
    taken = 0
    async with reading(asker, file) as chunks:
        async for _ in chunks:
            taken += 1
            if taken == 20:
                await stays(lambda: finished.reads <= 20 + WINDOW_MAX, for_s=0.5)
                break
    await stays(lambda: finished.reads <= 20 + WINDOW_MAX, for_s=0.3, what="nothing is asked for after the end")


async def test_the_readers_own_error_comes_out_as_it_is(asker: Connection, finished: Watched) -> None:
    file = finished.put("f", body_of(10 * CHUNK_BYTES))
    with pytest.raises(ZeroDivisionError):
        async with reading(asker, file) as chunks:
            async for _ in chunks:
                raise ZeroDivisionError


async def test_a_killed_broker_only_delays_a_reading(
    broker: Broker, asker: Connection, finished: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filestream, "ANSWER_WITHIN_S", 100)  # what was lost is not waited for
    body = body_of(40 * CHUNK_BYTES)
    file = finished.put("f", body)
    finished.pause_s = 0.02
    got = bytearray()
    with anyio.fail_after(50):
        async with reading(asker, file) as chunks:
            async for chunk in chunks:
                got += chunk
                if len(got) == 10 * CHUNK_BYTES:
                    # Reads are under way: the node answers them to a broker that never gave it leave to.
                    finished.pause_s = 1.5
                    await eventually(lambda: finished.at_once > 0)
                    await broker.restart()
                    finished.pause_s = 0.0
    assert bytes(got) == body


async def test_a_node_that_stays_away_is_named(
    broker: Broker, finished: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filestream, "TRIES_MAX", 3)
    file = finished.put("f", body_of(40 * CHUNK_BYTES))

    async def serve(*, task_status: TaskStatus[anyio.CancelScope]) -> None:
        with anyio.CancelScope() as scope:
            async with serving(broker, finished):
                task_status.started(scope)
                await anyio.sleep_forever()

    async with broker.connected(Role.OPERATOR) as connection, anyio.create_task_group() as tasks:
        node = await tasks.start(serve)
        with pytest.raises(NodeAway, match="node-1 is offline"):
            async with reading(connection, file) as chunks:
                async for _ in chunks:
                    node.cancel()
    assert finished.reads < 40


async def test_a_node_that_was_never_there_is_missed_within_seconds(broker: Broker) -> None:
    async with broker.connected(Role.OPERATOR) as connection:
        with anyio.fail_after(8), pytest.raises(NodeAway, match="node-9 is offline"):
            await look(connection, NodeFile("node-9", TASK, "f", 1))


async def test_a_request_that_wants_its_answer_elsewhere_gets_none(
    broker: Broker, asker: Connection, finished: Watched
) -> None:
    file = finished.put("f", b"1")
    elsewhere = s.event_write(TASK, "finished.failed", NODE)
    heard: list[Heard] = []
    async with broker.connected(Role.ADMIN) as admin, listening(admin, elsewhere, heard.append):
        query = codec.encode({"task": TASK, "path": "f", "bytes": 1, "length": 1})
        await admin.publish(s.node_verb(NODE, READ), query, reply=elsewhere)
        assert await read_all(asker, file) == b"1"
        await admin.client.flush()
        assert heard == []


async def test_nats_micro_finds_the_service(broker: Broker, asker: Connection) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        found = codec.decode((await admin.request("$SRV.INFO.downdraft-files")).data, dict)
    assert "node-1" in found["description"]
    assert {endpoint["subject"] for endpoint in found["endpoints"]} == {
        "downloads.nodes.node-1.read",
        "downloads.nodes.node-1.delete",
    }
