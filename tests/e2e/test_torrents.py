"""Torrents at the command line: `submit --torrent`, in the request or by the object store."""

import os
from pathlib import Path

from schemas.payload import INLINE_BYTES_MAX
from tests.harness.processes import Up
from tests.harness.tracker import make
from tests.integration.node.origin import Origin


async def test_a_torrent_file_is_submitted_and_its_web_seed_serves_it(
    cluster: Up, origin: Origin, tmp_path: Path
) -> None:
    origin.files["small.bin"] = os.urandom(100_000)
    file = tmp_path / "small.torrent"
    file.write_bytes(make("small.bin", origin.files["small.bin"]).torrent)
    done = await cluster.arun("submit", "--torrent", str(file), origin.url("file/small.bin"), "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    view = await cluster.show(done.stdout.split()[0])
    assert (cluster.downloads(view["node"]) / "small.bin").read_bytes() == origin.files["small.bin"]


async def test_one_that_is_too_large_for_a_request_goes_by_the_object_store(
    cluster: Up, origin: Origin, tmp_path: Path
) -> None:
    origin.files["large.bin"] = os.urandom(100_000)
    made = make("large.bin", origin.files["large.bin"], note=b"x" * INLINE_BYTES_MAX)
    assert len(made.torrent) > INLINE_BYTES_MAX
    file = tmp_path / "large.torrent"
    file.write_bytes(made.torrent)
    done = await cluster.arun("submit", "--torrent", str(file), origin.url("file/large.bin"), "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    view = await cluster.show(done.stdout.split()[0])
    assert view["bytes"] == 100_000


async def test_what_is_no_torrent_is_refused_before_it_is_submitted(cluster: Up, tmp_path: Path) -> None:
    file = tmp_path / "page.torrent"
    file.write_bytes(b"<html>")
    done = await cluster.arun("submit", "--torrent", str(file))
    assert done.returncode == 2
    assert "can't be used as a torrent: it is no torrent" in " ".join(done.stderr.split())
