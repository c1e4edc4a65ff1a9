"""BitTorrent from end to end: a real tracker, a real aria2c that has the files, and a node that gets them."""

import base64
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.event import Completed
from tests.harness.node import Rig
from tests.harness.tracker import Made, Tracker, make, seeding, tracking
from tests.integration.node.origin import Origin


@pytest.fixture
async def tracker() -> AsyncIterator[Tracker]:
    async with tracking() as running:
        yield running


def inline(made: Made) -> str:
    return base64.b64encode(made.torrent).decode()


def digest(body: bytes) -> str:
    return f"sha-256={hashlib.sha256(body).hexdigest()}"


async def completed(node: Rig, task: str, within_s: float = 40) -> Completed:
    outcome = await node.outcome(task, within_s)  # type: ignore[arg-type]
    assert isinstance(outcome, Completed), outcome
    return outcome


async def test_a_torrent_of_one_file_ends_as_that_file(
    node: Rig, tracker: Tracker, origin: Origin, tmp_path: Path
) -> None:
    body = os.urandom(300_000)
    made = make("one.bin", body, tracker.url)
    origin.files["one.torrent"] = made.torrent
    async with seeding(tmp_path / "seed", made, tracker):
        outcome = await completed(node, await node.submit(origin.url("file/one.torrent")))
    assert (outcome.path, outcome.bytes, outcome.digest) == ("one.bin", len(body), digest(body))
    assert (node.downloads / "one.bin").read_bytes() == body


async def test_a_magnet_link_gets_its_torrent_first_and_then_its_files(
    node: Rig, tracker: Tracker, tmp_path: Path
) -> None:
    files = {"a.bin": os.urandom(100_000), "sub/b.bin": os.urandom(50_000), "sub/c.bin": os.urandom(70_000)}
    made = make("folder", files, tracker.url)
    async with seeding(tmp_path / "seed", made, tracker):
        task = await node.submit(made.magnet(tracker.url), options={"select-file": "1,3"}, dir="got")
        outcome = await completed(node, task)
    assert outcome.path == "got/folder"
    wanted = {"a.bin": files["a.bin"], "sub/c.bin": files["sub/c.bin"]}
    assert {(one.path, one.digest) for one in outcome.files} == {
        (f"got/folder/{path}", digest(body)) for path, body in wanted.items()
    }
    lying = {
        path.relative_to(node.downloads / "got/folder").as_posix(): path.read_bytes()
        for path in (node.downloads / "got").rglob("*")
        if path.is_file()
    }
    assert lying == wanted
