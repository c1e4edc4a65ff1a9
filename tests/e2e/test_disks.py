"""Real disks that fill up, become read-only, and have room again."""

import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from broker.cluster import Refused, open_client
from broker.errors import NotConnected
from schemas.control import NodesReply, NodeView, Steer
from schemas.heartbeat import Heartbeat
from tests.harness.disks import SmallDisk, hanging_disk, small_disk
from tests.harness.processes import Up, running_up
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin

MIB = 1 << 20
MARKS: Any = {"DOWNDRAFT_NODE_DISK_LOW": "3M", "DOWNDRAFT_NODE_DISK_HIGH": "5M"}
OVER = ("completed", "failed")
NODES = 2


@pytest.fixture
def first_disk(tmp_path: Path) -> Any:
    """8 MiB for node-1."""
    with small_disk(tmp_path / "downloads" / "node-1", "8m") as disk:
        yield disk


def publish(origin: Origin, count: int, size: int, kind: str = "file") -> list[str]:
    """Addresses of `count` new files of `size` bytes."""
    names = [f"f{len(origin.files) + number}" for number in range(count)]
    for name in names:
        origin.files[name] = random.Random(name).randbytes(size)
    return [origin.url(f"{kind}/{name}") for name in names]


async def submit(up: Up, addresses: list[str], *options: str) -> list[str]:
    """Task ids, one for each address."""
    (up.folder / "addresses").write_text("\n".join(addresses))
    done = await up.arun("submit", "--input-file", "addresses", *options)
    assert done.returncode == 0, done.stderr
    return [line.split()[0] for line in done.stdout.splitlines()]


async def node(up: Up, name: str = "node-1") -> NodeView | None:
    with suppress(Refused, NotConnected, ExceptionGroup):
        async with open_client(up.url, up.creds("operator")) as client:
            found = (await client.ask("nodes", Steer(), NodesReply)).nodes
            return next((view for view in found if view.node == name), None)
    return None


async def says(up: Up, *words: str, within_s: float = 30) -> Heartbeat:
    """Wait until node-1 says that it takes no tasks, in these words; none: that it does."""

    async def said() -> Heartbeat | None:
        view = await node(up)
        trouble = view.heartbeat.trouble if view else "unheard"
        fits = all(word in trouble for word in words) if words else not trouble
        return view.heartbeat if view and fits else None

    beat: Heartbeat = await eventually(said, within_s=within_s, every_s=0.2, what=f"trouble with {words}")
    return beat


async def ends(up: Up, tasks: list[str], within_s: float = 60) -> list[dict[str, Any]]:
    """The views of these tasks, all completed."""
    views = [await up.state(task, *OVER, within_s=within_s) for task in tasks]
    assert {view["state"] for view in views} == {"completed"}, views
    return views


async def test_a_full_disk_is_said_and_the_others_do_the_work_until_there_is_room(
    tmp_path: Path, first_disk: SmallDisk, origin: Origin
) -> None:
    with running_up(tmp_path, "--slots", "1", **MARKS) as up:
        views = await ends(up, await submit(up, publish(origin, 8, 2 * MIB)))
        at_first = [view["task"] for view in views if view["node"] == "node-1"]
        assert len(at_first) <= 4, "8 MiB hold no more"
        (first_disk.folder / "of-somebody-else").write_bytes(bytes(max(0, 6 - 2 * len(at_first)) * MIB))
        beat = await says(up, "the disk is full: ", "takes tasks again at 5 MiB")
        assert beat.disk_free_bytes < 3 * MIB
        assert up.log("node-1").count("no tasks are taken") == 1, "once, not with each look"
        shown = await up.arun("nodes")
        assert "trouble" in shown.stdout
        assert "takes tasks again at 5 MiB" in shown.stdout

        views = await ends(up, await submit(up, publish(origin, 3, MIB)))
        assert {view["node"] for view in views} == {"node-2"}

        # What it has finished is still to be had, and deleting it makes room.
        got = await up.arun("get", at_first[0], "--output", str(tmp_path / "got"))
        assert got.returncode == 0, got.stdout + got.stderr
        removed = await up.arun("rm", "--files", "--yes", *at_first)
        assert removed.returncode == 0, removed.stdout + removed.stderr
        (first_disk.folder / "of-somebody-else").unlink()
        await says(up)
        views = await ends(up, await submit(up, publish(origin, 3, MIB)))
        assert "node-1" in {view["node"] for view in views}


async def test_where_there_is_no_other_node_a_task_waits_for_room_without_using_up_its_attempts(
    tmp_path: Path, first_disk: SmallDisk, origin: Origin
) -> None:
    ballast = first_disk.folder / "ballast"
    ballast.write_bytes(bytes(4 * MIB))
    with running_up(tmp_path, "--nodes", "1", "--slots", "2", **MARKS) as up:
        # Nobody knows the size before the node has asked for it: 4 MiB are free, of which 3 stay so.
        [task] = await submit(up, publish(origin, 1, 6 * MIB), "--max-attempts", "2")

        async def is_back() -> dict[str, Any] | None:
            view = await up.show(task)
            return view if view.get("attempt", 1) > 1 and view["state"] == "queued" else None

        view = await eventually(is_back, within_s=30, what="the task is given back")
        assert view.get("failures", 0) == 0
        attempts = view["attempt"]
        await anyio.sleep(5)  # two looks at the disk and more: it must not go back and forth
        view = await up.show(task)
        assert (view["state"], view["attempt"]) == ("queued", attempts)

        ballast.unlink()
        first_disk.grow("16m")
        [view] = await ends(up, [task])
        assert view.get("failures", 0) == 0


async def test_a_disk_that_becomes_read_only_is_said_and_its_tasks_go_elsewhere(tmp_path: Path, origin: Origin) -> None:
    with (
        small_disk(tmp_path / "downloads" / "node-1", "64m") as disk,
        running_up(tmp_path, "--slots", "4", **MARKS) as up,
    ):
        tasks = await submit(up, publish(origin, 4, 6 * MIB, "slow"), "--option", "split=1")
        for task in tasks:
            await up.state(task, "active")
        here = [view["task"] for view in [await up.show(task) for task in tasks] if view["node"] == "node-1"]
        assert here

        def is_read_only() -> bool:
            for child in up.aria2c("node-1"):  # a file that is open for writing keeps it writable
                child.send_signal(signal.SIGKILL)
            return disk.read_only()

        await eventually(is_read_only)
        await says(up, "can't write to", "Read-only file system")
        views = await ends(up, tasks)
        assert {view["node"] for view in views} == {"node-2"}
        disk.writable()
        await says(up)
        views = await ends(up, await submit(up, publish(origin, 4, MIB)))
        assert "node-1" in {view["node"] for view in views}


@pytest.mark.slow
async def test_a_disk_that_hangs_is_said_and_its_tasks_go_elsewhere(tmp_path: Path, origin: Origin) -> None:
    with (
        hanging_disk(tmp_path / "image", tmp_path / "downloads" / "node-1", 128) as disk,
        running_up(tmp_path, "--slots", "4", **MARKS) as up,
    ):
        tasks = await submit(up, publish(origin, 4, 8 * MIB, "slow"), "--option", "split=1")
        for task in tasks:
            await up.state(task, "active")
        assert "node-1" in {(await up.show(task))["node"] for task in tasks}
        disk.freeze()
        await says(up, "does not answer")
        views = await ends(up, tasks)
        assert {view["node"] for view in views} == {"node-2"}
        disk.thaw()
        await says(up)
        views = await ends(up, await submit(up, publish(origin, 4, MIB)))
        assert "node-1" in {view["node"] for view in views}


@asynccontextmanager
async def endless() -> AsyncIterator[str]:
    """The address of a file that never ends and does not say how long it is."""

    async def answer(request: web.Request) -> web.StreamResponse:
        sending = web.StreamResponse()
        sending.enable_chunked_encoding()
        await sending.prepare(request)
        with suppress(ConnectionError):
            while request.method == "GET":
                await sending.write(bytes(256 * 1024))
        return sending

    app = web.Application()
    app.router.add_get("/endless", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/endless"
    finally:
        await runner.cleanup()


async def test_a_file_that_outgrows_every_disk_waits_for_a_larger_one_and_leaves_the_room_as_it_was(
    tmp_path: Path, first_disk: SmallDisk, origin: Origin
) -> None:
    quick: Any = {"DOWNDRAFT_COORDINATOR_RETRY_BASE_S": "0.2"}
    with (
        small_disk(tmp_path / "downloads" / "node-2", "8m"),
        running_up(tmp_path, "--slots", "2", **MARKS, **quick) as up,
    ):
        async with endless() as address:
            [task] = await submit(up, [address], "--max-attempts", "3")

            async def waits_for_a_larger_disk() -> bool:
                return (await up.arun("explain", task)).stdout.count("MiB of disk left for a file of") == NODES

            await eventually(waits_for_a_larger_disk, within_s=60, every_s=0.5, what="no node to have disk enough")
            view = await up.show(task)
        assert view["state"] == "queued"
        assert {record["code"] for record in view["history"]} <= {"disk", "aria2-9"}, "a quick origin may be first"
        beat = await says(up)
        assert beat.disk_free_bytes > 7 * MIB
        await ends(up, await submit(up, publish(origin, 2, MIB)))
