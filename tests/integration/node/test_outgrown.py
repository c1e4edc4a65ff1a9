"""Downloads that tell no size, or a wrong one, on a real small disk: they end before it is full, and others go on."""

import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest

from node import clearing
from schemas.event import AttemptFailed, Completed
from tests.harness.bad_origin import BadOrigin, Manner
from tests.harness.broker import Broker
from tests.harness.disks import small_disk
from tests.harness.metalinks import Entry, meta4
from tests.harness.node import Rig, rig, running_node
from tests.harness.tracker import make, tracking
from tests.harness.waiting import eventually, stays

MIB = 1 << 20
DISK = "24m"
MARKS: Any = {"disk_low": 6 * MIB, "disk_high": 8 * MIB}
BIG = bytes(40 * MIB)


class Least:
    """How little was ever free."""

    def __init__(self) -> None:
        self.bytes = 1 << 60

    async def watch(self, folder: Path) -> None:
        while True:
            self.bytes = min(self.bytes, shutil.disk_usage(folder).free)
            await anyio.sleep(0.05)


@asynccontextmanager
async def on_a_small_disk(broker: Broker, folder: Path) -> AsyncIterator[tuple[Rig, Least]]:
    least = Least()
    with small_disk(folder / "downloads", DISK):
        async with rig(broker, folder, **MARKS) as node, anyio.create_task_group() as tasks:
            tasks.start_soon(least.watch, node.downloads)
            yield node, least
            tasks.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearing, "LOOK_EVERY_S", 0.3)


async def test_what_outgrows_the_disk_ends_before_it_is_full_goes_to_a_larger_one_and_others_go_on(
    broker: Broker, tmp_path: Path, bad: BadOrigin
) -> None:
    bad.manners["grows"] = Manner(body=BIG, length="chunked", bytes_per_s=12 * MIB, ranges="ignore")
    other = bytes(range(256)) * (6 * MIB // 256)
    bad.manners["other"] = Manner(body=other, bytes_per_s=2 * MIB)
    async with on_a_small_disk(broker, tmp_path) as (node, least):
        steady = await node.submit(bad.url("other"), options={"split": "1"}, out="other")
        await node.partial(steady, 1)
        grows = await node.submit(bad.url("grows"), out="grows")
        failed = await node.failure(grows)
        assert (failed.code, failed.node) == ("disk", "node-1")
        assert "its origin told no size" in failed.reason
        assert failed.size is not None
        assert failed.size > 4 * MIB
        done = await node.outcome(steady)
        assert isinstance(done, Completed)
        assert (done.attempt, done.digest) == (1, f"sha-256={sha256(other).hexdigest()}")
        assert least.bytes > MIB, "the disk was never full"
        free = shutil.disk_usage(node.downloads).free
        (node.downloads / "room").write_bytes(bytes(max(0, free - 5 * MIB)))  # it may be just above the low mark
        await eventually(lambda: not node.staged(grows).exists(), what="what came of it is deleted")
        attempts = len(bad.gets("grows"))
        await stays(lambda: len(bad.gets("grows")) == attempts, for_s=1.5, what="it does not come back here")
        bad.manners["grows"] = Manner(body=BIG, length="close", ranges="ignore")
        async with running_node(broker, tmp_path / "large", "node-2", disk_low=0, disk_high=0):
            last = await node.outcome(grows)
        assert isinstance(last, Completed)
        assert (last.node, last.bytes) == ("node-2", len(BIG))


@pytest.mark.parametrize(("length", "bytes_per_s"), [("chunked", 2 * MIB), ("told", MIB // 2)])
async def test_what_has_more_bytes_than_its_request_says_fails_before_it_ends(
    node: Rig, bad: BadOrigin, length: Any, bytes_per_s: float
) -> None:
    bad.manners["lies"] = Manner(body=BIG, length=length, bytes_per_s=bytes_per_s, ranges="ignore")
    task = await node.submit(bad.url("lies"), size=MIB, max_attempts=1)
    failed = await node.failure(task)
    assert (failed.code, failed.failure) == ("size-mismatch", "damaged")
    assert failed.reason == f"the file has more than the {MIB} bytes that were expected"
    assert (await node.outcome(task)).kind == "finished.failed"


async def test_a_metalink_whose_files_do_not_fit_together_does_not_begin(
    broker: Broker, tmp_path: Path, bad: BadOrigin
) -> None:
    body = bytes(10 * MIB)
    files = [Entry(name, [bad.url(name)], body) for name in ("a", "b")]
    bad.manners |= {"a": Manner(body=body), "b": Manner(body=body), "both.meta4": Manner(body=meta4(*files))}
    async with on_a_small_disk(broker, tmp_path) as (node, _):
        task = await node.submit(bad.url("both.meta4"), kind="metalink")
        released = await node.recorder.sees("released", task)
        assert not isinstance(released, AttemptFailed)
        assert released.size == 2 * len(body)  # type: ignore[union-attr]
        await stays(lambda: not bad.gets("a"), for_s=1.0)


async def test_of_a_torrent_only_what_is_selected_needs_room(broker: Broker, tmp_path: Path) -> None:
    async with tracking() as tracker, on_a_small_disk(broker, tmp_path) as (node, _):
        tasks = []
        for files in ("1,2", "2-3"):  # of two torrents: the same one is downloaded once at a time
            made = make(f"files {files}", {"a": bytes(20 * MIB), "b": bytes(5 * MIB), "c": bytes(4 * MIB)}, tracker.url)
            torrent = base64.b64encode(made.torrent).decode()
            tasks.append(await node.submit(torrent=torrent, options={"select-file": files}))
        released = await node.recorder.sees("released", tasks[0])
        assert released.size == 25 * MIB  # type: ignore[union-attr]
        await node.recorder.sees("started", tasks[1])
