"""What ends up on the disk: whole files, the right names, nothing of another task's overwritten."""

import hashlib
import random

import pytest

from tests.harness.processes import Up, running_up
from tests.integration.node.origin import Origin


def submitted(done) -> str:  # type: ignore[no-untyped-def]
    assert done.returncode == 0, done.stderr
    return str(done.stdout).split()[0]


async def test_two_tasks_with_one_name_keep_both_files(cluster: Up, origin: Origin) -> None:
    paths = set()
    for index in range(2):
        origin.files["same"] = f"body {index}".encode()
        task = submitted(
            await cluster.arun("submit", origin.url("file/same"), "--out", "twins.txt", "--tag", "archive", "--wait")
        )
        view = await cluster.show(task)
        stored = cluster.downloads("node-2") / view["path"]
        assert stored.read_bytes() == f"body {index}".encode()
        paths.add(view["path"])
    assert paths == {"twins.txt", "twins.1.txt"}


async def test_a_folder_and_a_name_are_honoured(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    task = submitted(await cluster.arun("submit", origin.url("file/f"), "-d", "a/b", "-o", "c.txt", "--wait"))
    view = await cluster.show(task)
    assert view["path"] == "a/b/c.txt"
    assert (cluster.downloads(view["node"]) / "a" / "b" / "c.txt").read_bytes() == b"hello"


async def test_a_wrong_checksum_never_completes(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    wrong = hashlib.sha256(b"other").hexdigest()
    done = await cluster.arun("submit", origin.url("file/f"), "--checksum", f"sha-256={wrong}", "--wait")
    assert done.returncode == 1
    assert "does not have the digest" in " ".join(done.stdout.split())


async def test_a_wrong_size_never_completes(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"hello"
    done = await cluster.arun("submit", origin.url("file/f"), "--size", "7", "--wait")
    assert done.returncode == 1
    assert "the file has 5 bytes, 7 were expected" in " ".join(done.stdout.split())


@pytest.mark.parametrize(("size", "lane"), [(20_000, "small"), (12_000_000, "large")])
async def test_the_lane_follows_the_size_that_the_origin_tells(
    cluster: Up, origin: Origin, size: int, lane: str
) -> None:
    import json

    origin.files["f"] = random.Random(size).randbytes(size)
    task = submitted(await cluster.arun("submit", origin.url("file/f"), "--wait"))
    shown = json.loads((await cluster.arun("show", task, "--json")).stdout)
    (started,) = [event for event in shown["events"] if event["type"] == "started"]
    assert started["lane"] == lane


async def test_tags_are_honoured(cluster: Up, origin: Origin) -> None:
    origin.files["f"] = b"x"
    for _ in range(3):
        task = submitted(await cluster.arun("submit", origin.url("file/f"), "--tag", "archive", "--wait"))
        assert (await cluster.show(task))["node"] == "node-2"


async def test_a_loopback_origin_is_refused_without_permission(tmp_path, origin: Origin) -> None:  # type: ignore[no-untyped-def]
    origin.files["f"] = b"x"
    with running_up(tmp_path, "--nodes", "1", allow_loopback=False) as up:
        done = await up.arun("submit", origin.url("file/f"), "--wait")
        assert done.returncode == 1
        said = " ".join(done.stdout.split())
        assert "127.0.0.1 is a loopback address and this node does not download from there" in said
        assert "--allow-net 127.0.0.0/8" in said
        assert origin.asked == [], "not even asked"
