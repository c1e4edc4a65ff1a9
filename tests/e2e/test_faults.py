"""Real processes that die: aria2c, a node, the broker. What must go on goes on."""

import hashlib
import os
import random
import signal

import anyio
import psutil

from tests.harness.processes import COMMAND, Up, environment
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin

SLOW = ("--option", "max-download-limit=3M", "--option", "split=1")
"""One connection: then the Range it asks for says where it went on."""
SIZE = 16_000_000


async def start_large(cluster: Up, origin: Origin) -> tuple[str, bytes]:
    """Submit a download that takes some seconds and wait until a good part of it is on the disk."""
    body = random.Random(SIZE).randbytes(SIZE)
    origin.files["large.bin"] = body
    done = await cluster.arun("submit", origin.url("file/large.bin"), *SLOW)
    task = done.stdout.split()[0]
    view = await cluster.state(task, "active")
    data = cluster.downloads(view["node"]) / ".downdraft" / task / "data"
    await eventually(lambda: data.exists() and data.stat().st_size > 4_000_000, within_s=15)
    return task, body


def resumed_at(origin: Origin) -> int:
    """From which byte the last request went on."""
    asked = [asked.range for asked in origin.asked if asked.method == "GET"][-1]
    return int(asked.removeprefix("bytes=").partition("-")[0] or 0)


async def check_whole(cluster: Up, task: str, body: bytes, within_s: float = 40) -> dict[str, object]:
    view = await cluster.state(task, "completed", "failed", within_s=within_s)
    assert view["state"] == "completed", view
    assert view["digest"] == f"sha-256={hashlib.sha256(body).hexdigest()}"
    assert (cluster.downloads(view["node"]) / view["path"]).read_bytes() == body
    return view


async def test_a_node_that_is_told_to_stop_gives_its_task_back_and_exits_within_10_s(
    cluster: Up, origin: Origin
) -> None:
    task, body = await start_large(cluster, origin)
    node = (await cluster.show(task))["node"]
    process = psutil.Process(cluster.pid(node))
    process.send_signal(signal.SIGTERM)
    told_at = anyio.current_time()
    await eventually(lambda: not process.is_running() or process.status() == "zombie", within_s=10)
    assert anyio.current_time() - told_at < 10
    view = await check_whole(cluster, task, body)
    assert view["attempt"] == 2
    assert view.get("failures", 0) == 0
    await eventually(lambda: cluster.pid(node) != process.pid, what="the supervisor started it again")


async def test_a_killed_node_comes_back_and_resumes_its_own_partial_file(cluster: Up, origin: Origin) -> None:
    task, body = await start_large(cluster, origin)
    node = (await cluster.show(task))["node"]
    pid = cluster.pid(node)
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: cluster.pid(node) != pid, what="restarted")
    view = await check_whole(cluster, task, body)
    assert (view["node"], view["attempt"]) == (node, 1)
    assert resumed_at(origin) > 2_000_000


async def test_a_second_process_with_one_node_id_exits_and_says_why(cluster: Up) -> None:
    for state, expected in (
        (cluster.folder / "downdraft-data" / "node-1", "another process runs as node 'node-1'"),
        (cluster.folder / "elsewhere", "node 'node-1' runs already on"),
    ):
        command = [*COMMAND, "node", "--id", "node-1", "--server", cluster.url, "--creds", cluster.creds("node-1")]
        done = await anyio.run_process(
            [*command, "--state", str(state), "--downloads", str(cluster.folder / "twin")],
            check=False,
            env=environment(),
        )
        assert done.returncode == 3
        assert expected in done.stderr.decode(), done.stderr


async def test_a_killed_broker_is_restarted_and_a_running_download_never_notices(cluster: Up, origin: Origin) -> None:
    task, body = await start_large(cluster, origin)
    pid = cluster.pid("nats-server")
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: cluster.pid("nats-server") != pid, what="restarted")
    view = await check_whole(cluster, task, body)
    assert view["attempt"] == 1
    again = await cluster.arun("submit", origin.url("file/large.bin"), "--wait")
    assert again.returncode == 0, again.stdout + again.stderr


async def test_a_killed_coordinator_loses_nothing(cluster: Up, origin: Origin) -> None:
    task, body = await start_large(cluster, origin)
    pid = cluster.pid("coordinator")
    os.kill(pid, signal.SIGKILL)
    origin.files["f"] = b"submitted while nobody led"
    done = await cluster.arun("submit", origin.url("file/f"), "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    view = await check_whole(cluster, task, body)
    assert view["attempt"] == 1


async def test_an_origin_that_recovers_is_tried_again(cluster: Up, origin: Origin) -> None:
    origin.retry_after = "1"
    done = await cluster.arun("submit", origin.url("status/503"), "--max-attempts", "2", "--wait")
    assert done.returncode == 1
    asked_at = [asked.path for asked in origin.asked if asked.method == "GET"]
    assert len(asked_at) >= 2
    task = done.stdout.split()[0]
    view = await cluster.show(task)
    assert [record["attempt"] for record in view["history"]] == [1, 2]
    assert "503" in view["reason"]
