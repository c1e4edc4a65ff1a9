"""Origins that stall or change their files, against a whole cluster of processes."""

import hashlib
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.bad_origin import BadOrigin, Manner, misbehaving
from tests.harness.processes import Up, running_up
from tests.harness.waiting import eventually

STALL_S = 3
OLD, NEW = random.Random(1).randbytes(4 << 20), random.Random(2).randbytes(4 << 20)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Two nodes that give up stalled downloads soon."""
    folder: Path = tmp_path_factory.mktemp("impatient")
    with running_up(folder, DOWNDRAFT_NODE_STALL_TIMEOUT_S=str(STALL_S)) as up:
        yield up


@pytest.fixture
async def bad() -> AsyncIterator[BadOrigin]:
    async with misbehaving() as origin:
        yield origin


async def test_a_stalled_download_is_given_up_and_goes_on_elsewhere(impatient: Up, bad: BadOrigin) -> None:
    bad.manners["file"] = Manner(body=OLD, etag='"1"', cut_at=1 << 20, cut_how="stall")
    done = await impatient.arun("submit", bad.url("file"), "--option", "split=1")
    task = done.stdout.split()[0]

    async def history() -> Any:
        return (await impatient.show(task)).get("history")

    (record,) = await eventually(history, within_s=10 * STALL_S)
    bad.manners["file"] = Manner(body=OLD, etag='"1"')
    view = await impatient.state(task, "completed", "failed", within_s=60)
    assert view["state"] == "completed", view
    assert view["node"] != record["node"]
    assert view["digest"] == f"sha-256={hashlib.sha256(OLD).hexdigest()}"
    assert (record["failure"], record["code"]) == ("transient", "stalled")
    assert "bytes came in the last" in record["reason"]


async def test_a_file_that_changes_while_its_node_is_away_is_never_mixed(impatient: Up, bad: BadOrigin) -> None:
    bad.manners["file"] = Manner(body=OLD, etag='"1"', bytes_per_s=500_000)
    done = await impatient.arun("submit", bad.url("file"), "--option", "split=2")
    task = done.stdout.split()[0]
    view = await impatient.state(task, "active")
    data = impatient.downloads(view["node"]) / ".downdraft" / task / "data"
    await eventually(lambda: data.exists() and data.stat().st_size > 1 << 20, within_s=15)
    bad.manners["file"] = Manner(body=NEW, etag='"2"')
    for child in impatient.aria2c(view["node"]):
        child.kill()
    view = await impatient.state(task, "completed", "failed", within_s=40)
    assert view["digest"] == f"sha-256={hashlib.sha256(NEW).hexdigest()}", view
