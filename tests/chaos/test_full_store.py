"""A nats-server whose file system is full: producers are told, nothing accepted is lost, room and a restart mend it."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker import embedded
from broker.cluster import NotSubmitted, Prepared
from schemas.request import Request
from tests.chaos.books import Wanted
from tests.chaos.cluster import Cluster, chaos_cluster
from tests.conftest import required

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

STORE_BYTES = 12 << 20
ROOM_BYTES = 200 << 20
BODY = 2000
HEADERS = {f"X-Padding-{number}": "." * 8000 for number in range(5)}
"""What makes a request large: 40 KB of it stand in the inbox, the table and the log."""


class SmallDisk:
    """A file system in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def resize(self, size: int) -> None:
        subprocess.run([_MOUNT, "-o", f"remount,size={size}", str(self._folder)], capture_output=True, check=True)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mount one at `folder` for the length of the block; skips where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [_MOUNT, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0 and not required("mount"):
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    assert done.returncode == 0, done.stderr
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run([_UMOUNT, "-l", str(folder)], capture_output=True, check=False)


_MOUNT, _UMOUNT = (shutil.which(tool) or tool for tool in ("mount", "umount"))


@pytest.fixture
async def tight(tmp_path: Path) -> AsyncIterator[tuple[Cluster, SmallDisk]]:
    """A cluster whose broker has a disk of its own, with little room, and believes that it has plenty."""
    if os.geteuid() != 0 and not required("mount"):
        pytest.skip("mounting a file system needs root")
    with small_disk(tmp_path / "broker" / "jetstream", STORE_BYTES) as disk:
        store = 'store_dir: "jetstream"'
        generous = embedded.packaged_conf().replace(store, f"{store}\n  max_file_store: 100GB")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(embedded, "packaged_conf", lambda: generous)
            async with chaos_cluster(tmp_path, nodes=1) as cluster:
                yield cluster, disk


async def submit_until_refused(cluster: Cluster) -> tuple[Prepared, str]:
    """Large requests until one is not taken: that one, and what its producer was told."""
    for number in range(2000):
        uri = cluster.origin.put(f"file-{number}", BODY)
        prepared = cluster.client.prepare(Request(uris=(uri,), id=f"file-{number}", headers=HEADERS))
        try:
            await cluster.client.store(prepared)
        except NotSubmitted as error:
            return prepared, str(error)
        cluster.books.asked[prepared.task] = Wanted(cluster.origin.bodies[f"file-{number}"].digest)
    raise AssertionError("the disk never filled up")


async def test_a_full_disk_under_the_store_loses_nothing_that_was_accepted(tight: tuple[Cluster, SmallDisk]) -> None:
    cluster, disk = tight
    running = await cluster.submit("running", 4 << 20, bytes_per_s=20_000)
    await cluster.witness.runs_on(running)
    refused, told = await submit_until_refused(cluster)
    assert len(cluster.books.asked) > 20
    assert "submitting it again with --id" in told
    assert "disk" in told
    with pytest.raises(NotSubmitted, match="disk"):
        await cluster.client.store(refused)
    cluster.origin.hurry()  # the running one is whole before there is room to say so

    disk.resize(ROOM_BYTES)
    cluster.broker.terminate()  # nats-server takes no write after a failed one until it is started again
    await cluster.broker.ended()
    await cluster.start("nats-server")
    cluster.books.asked[refused.task] = Wanted("")
    await cluster.client.store(refused)
    # What was acked but could not be deleted comes again with the next leader's consumer: it is known to have ended.
    cluster.coordinators[0].terminate()
    await cluster.coordinators[0].ended()
    await cluster.start("coordinator-1")
    await cluster.books.balance(within_s=120)
    assert cluster.books.strays() == []
