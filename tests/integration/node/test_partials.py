"""Partial files on a node's disk: resumed when their task comes back, told while they lie there, swept in the end."""

import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath

import pytest

from broker.listen import Heard, listening
from broker.roles import Role
from coordinator import moves
from node import clearing
from node.files import Store
from node.room import STRAY_AGE_S
from node.staging import DATA_NAME, JOURNAL_NAME
from schemas import codec
from schemas import subjects as s
from schemas.heartbeat import Heartbeat
from schemas.lifecycle import Desired
from schemas.request import STAGING_NAME
from tests.examples import TASK, a_request, a_row, a_task
from tests.harness.broker import Broker
from tests.harness.disks import small_disk
from tests.harness.leader import bare_term, coordinator
from tests.harness.node import working_node
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually, stays
from tests.integration.node.origin import Origin

MIB = 1 << 20
NEVER = 1 << 60
"""Bytes no disk has: a node with such a low mark is full."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearing, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(clearing, "WEIGH_EVERY_S", 0.2)


def stage(folder: Path, task: str, size: int = 3 * MIB, *, age_s: float = 0.0, name: str = DATA_NAME) -> Path:
    """Something an earlier process left of a task."""
    staged = folder / "downloads" / STAGING_NAME / task
    staged.mkdir(parents=True, exist_ok=True)
    (staged / name).write_bytes(random.Random(task).randbytes(size))
    for path in (staged / name, staged):
        then = path.stat().st_mtime - age_s
        os.utime(path, (then, then))
    return staged


@asynccontextmanager
async def heartbeats(broker: Broker) -> AsyncIterator[Callable[[], Heartbeat | None]]:
    """The latest heartbeat of node-1."""
    heard: list[Heartbeat] = []

    def hear(one: Heard) -> None:
        heard[:] = [codec.decode(one.data, Heartbeat)]

    async with (
        broker.connected(Role.VIEWER) as connection,
        listening(connection, s.heartbeat("node-1"), hear),
    ):
        yield lambda: heard[0] if heard else None


async def test_a_partial_whose_task_comes_back_is_resumed_by_a_later_attempt(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    origin.files["f"] = random.Random(1).randbytes(8 * MIB)
    async with producer(broker) as ann, recording(broker) as seen, coordinator(broker):
        async with working_node(broker, tmp_path):
            options = {"split": "1"}
            task = await ann.submit(uris=[origin.url("slow/f")], options=options)
            data = tmp_path / "downloads" / STAGING_NAME / task / DATA_NAME
            await eventually(lambda: data.exists() and data.stat().st_size > 3 * MIB, within_s=20)
        async with scripted_node(broker, "node-2") as other:
            row = await other.gets(task, attempt=2)
            async with working_node(broker, tmp_path):
                await seen.sees("released", task)
                await other.fail(row)
                await other.beat(leaving=True)
                other.beating = False
                outcome = await seen.outcome(task, within_s=30)
    assert (outcome.kind, outcome.attempt) == ("finished.completed", 3)
    began = [int(asked.range.removeprefix("bytes=").partition("-")[0] or 0) for asked in origin.asked if asked.range]
    assert max(began) >= 2 * MIB, "what attempt 1 left was not fetched again"


async def test_partials_nobody_owns_are_told_kept_for_an_hour_and_then_deleted(broker: Broker, tmp_path: Path) -> None:
    young, old = stage(tmp_path, a_task(1), age_s=STRAY_AGE_S - 60), stage(tmp_path, a_task(2), age_s=STRAY_AGE_S + 60)
    async with heartbeats(broker) as latest, working_node(broker, tmp_path):
        await eventually(lambda: not old.exists())
        await eventually(lambda: (beat := latest()) and 3 * MIB <= beat.partial_bytes < 4 * MIB)
        assert young.exists()


def placed_by_an_earlier_process(folder: Path, task: str) -> tuple[Path, Path]:
    """A whole file in its place whose process died before it could report it: the file, and its staging folder."""
    store = Store(folder / "downloads")
    store.prepare(task, split=False)
    store.data(task).write_bytes(task.encode())
    placed = store.place(task, PurePosixPath(f"{task}.bin"), digest="sha-256=00", seconds=0.1, attempt=1)
    return folder / "downloads" / placed.path, store.staging(task)


@pytest.mark.parametrize(("writer", "stays_there"), [("node-2", False), ("node-1", True)])
async def test_a_file_that_was_never_reported_goes_where_its_task_ended_elsewhere(
    broker: Broker, tmp_path: Path, writer: str, stays_there: bool
) -> None:
    ended, staged = placed_by_an_earlier_process(tmp_path, TASK)
    living, _ = placed_by_an_earlier_process(tmp_path, a_task(2))
    async with scripted_node(broker, writer) as node:
        await node.complete(a_row())
    async with working_node(broker, tmp_path):
        await eventually(lambda: not staged.exists())
        assert ended.exists() is stays_there
        await stays(lambda: living.exists() and staged.parent.joinpath(a_task(2)).exists(), for_s=1.0)


async def test_on_a_full_disk_partials_nobody_owns_go_at_once_but_none_that_is_owned(
    broker: Broker, tmp_path: Path
) -> None:
    paused, stray, journalled = stage(tmp_path, TASK), stage(tmp_path, a_task(2)), stage(tmp_path, a_task(3))
    stage(tmp_path, a_task(3), name=JOURNAL_NAME)
    async with bare_term(broker) as term:
        created = await term.cas(a_row(desired=Desired.PAUSE), 0)
        assert created is not None
        await term.move(moves.placed(created.row, "node-1", "i"), created.sequence)
    async with heartbeats(broker) as latest, working_node(broker, tmp_path, disk_low=NEVER):
        await eventually(lambda: not stray.exists())
        await eventually(lambda: (beat := latest()) and "the disk is full" in beat.trouble)
        await stays(lambda: paused.exists() and journalled.exists(), for_s=1.0)


async def test_a_task_that_arrives_at_a_full_disk_is_given_back_without_using_up_an_attempt(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    origin.files["f"] = b"x"
    async with recording(broker) as seen, working_node(broker, tmp_path, disk_low=NEVER):
        async with bare_term(broker) as term:
            created = await term.cas(a_row(), 0)
            assert created is not None
            await term.move(moves.placed(created.row, "node-1", "i"), created.sequence)
        released = await seen.sees("released", TASK)
    assert "node-1: the disk is full" in released.reason  # type: ignore[union-attr]


async def test_a_node_on_a_full_disk_goes_on_with_what_lies_there_in_part_and_gives_the_rest_back(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    """It was killed and the disk filled up meanwhile: what fits is not begun anew elsewhere."""
    origin.files["f"] = random.Random(TASK).randbytes(5 * MIB)
    stage(tmp_path, TASK)
    async with recording(broker) as seen:
        async with bare_term(broker) as term:
            for task in (TASK, a_task(2)):
                created = await term.cas(a_row(task=task, request=a_request(uris=(origin.url("file/f"),))), 0)
                assert created is not None
                await term.move(moves.placed(created.row, "node-1", "i"), created.sequence)
        async with working_node(broker, tmp_path, disk_low=NEVER):
            assert (await seen.outcome(TASK)).kind == "finished.completed"
            await seen.sees("released", a_task(2))


async def test_what_had_no_room_begins_when_there_is_room_before_it_was_given_back(
    broker: Broker, tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "LOOK_EVERY_S", 1.5)
    origin.files["f"] = random.Random(2).randbytes(6 * MIB)
    with small_disk(tmp_path / "downloads", "8m") as disk:
        ballast = disk.folder / "ballast"
        ballast.write_bytes(bytes(4 * MIB))
        async with recording(broker) as seen, working_node(broker, tmp_path, disk_low=MIB):
            async with bare_term(broker) as term:
                created = await term.cas(a_row(request=a_request(uris=(origin.url("file/f"),))), 0)
                assert created is not None
                await term.move(moves.placed(created.row, "node-1", "i"), created.sequence)
            await eventually(lambda: origin.asked, what="its size was asked for")
            ballast.unlink()
            outcome = await seen.outcome(TASK)
            assert seen.kinds(TASK) == ["started", "finished.completed"]
    assert outcome.attempt == 1
