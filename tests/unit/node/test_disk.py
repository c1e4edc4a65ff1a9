"""A look at real folders: deleted, exchanged, read-only, hanging."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from node import disk as disk_module
from node.disk import PROBE_NAME, Disk
from node.room import Marks
from schemas.request import STAGING_NAME
from tests.harness.disks import SmallDisk, small_disk
from tests.harness.waiting import eventually

MARKS = Marks(low=1 << 20, high=2 << 20)


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "state").mkdir()
    return tmp_path / "downloads"


def a_disk(downloads: Path, marks: Marks = MARKS) -> Disk:
    return Disk(downloads, downloads.parent / "state", marks)


@pytest.fixture
def mounted(downloads: Path) -> Iterator[SmallDisk]:
    with small_disk(downloads, "8m") as disk:
        yield disk


async def test_a_folder_with_room_is_open_and_free_bytes_are_the_file_systems(downloads: Path) -> None:
    room = await a_disk(downloads).look()
    assert room.is_open
    assert 0 < room.free_bytes <= shutil.disk_usage(downloads).total


async def test_a_staging_folder_that_somebody_deleted_is_made_again(downloads: Path) -> None:
    disk = a_disk(downloads)
    await disk.look()
    shutil.rmtree(downloads)
    assert (await disk.look()).is_open
    assert (downloads / STAGING_NAME / PROBE_NAME).exists()


async def test_a_file_in_the_place_of_the_folder_is_said(downloads: Path) -> None:
    disk = a_disk(downloads)
    downloads.rmdir()
    downloads.touch()
    room = await disk.look()
    assert not room.is_writable
    assert f"can't write to {downloads}: " in room.trouble


async def test_a_disk_that_is_no_longer_mounted_is_not_taken_for_the_empty_folder_below(downloads: Path) -> None:
    with small_disk(downloads, "8m"):
        disk = a_disk(downloads)
        assert (await disk.look()).is_open
    room = await disk.look()
    assert "another disk than the one it began with" in room.trouble
    assert not list(downloads.iterdir()), "nothing is written where the disk should be"


async def test_a_disk_that_is_mounted_again_is_known_again(tmp_path: Path, downloads: Path) -> None:
    with small_disk(tmp_path / "real", "8m") as real:
        real.bind(downloads)
        disk = a_disk(downloads)
        await disk.look()
        real.unbind(downloads)
        assert not (await disk.look()).is_open
        real.bind(downloads)
        assert (await disk.look()).is_open
        real.unbind(downloads)


async def test_a_read_only_disk_is_said_once_and_works_again(mounted: SmallDisk) -> None:
    told: list[str] = []
    disk = a_disk(mounted.folder)

    async def tell() -> None:
        told.append(disk.room.kind)

    disk.tell = tell
    await disk.look()
    with capture_logs() as logs:
        assert mounted.read_only()
        for _ in range(3):
            assert not (await disk.look()).is_writable
        mounted.writable()
        assert (await disk.look()).is_open
    assert told == [f"can't write to {mounted.folder}: Read-only file system", ""]
    assert [entry["event"] for entry in logs] == ["no tasks are taken", "tasks are taken again"]


async def test_a_disk_without_a_block_left_is_full(mounted: SmallDisk) -> None:
    disk = a_disk(mounted.folder)
    await disk.look()
    with pytest.raises(OSError, match="No space left"), (mounted.folder / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(1 << 16))
    room = await disk.look()
    assert room.trouble == "the disk is full: 0 B free, takes tasks again at 2 MiB"
    assert room.wants_room
    (mounted.folder / "ballast").unlink()
    assert (await disk.look()).is_open


async def test_a_disk_without_a_file_entry_left_takes_no_tasks_although_bytes_are_free(downloads: Path) -> None:
    with small_disk(downloads, "8m,nr_inodes=10"):
        disk = a_disk(downloads)
        await disk.look()
        with pytest.raises(OSError, match="No space left"):
            for number in range(10):
                (downloads / str(number)).touch()
        room = await disk.look()
        assert "No space left on device" in room.trouble
        assert room.wants_room


async def test_a_state_folder_in_trouble_closes_the_node_and_lets_run_what_runs(downloads: Path) -> None:
    with small_disk(downloads.parent / "state", "64k"):
        disk = a_disk(downloads)
        assert (await disk.look()).is_open
        with pytest.raises(OSError, match="No space left"):
            (downloads.parent / "state" / "ballast").write_bytes(bytes(1 << 20))
        room = await disk.look()
        assert f"can't write to {downloads.parent / 'state'}: No space left" in room.trouble
        assert (room.is_open, room.is_writable) == (False, True)


async def test_a_disk_that_hangs_blocks_nobody_and_is_said(downloads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that nobody reads stands in for a server that does not answer: opening it waits for ever."""
    disk = a_disk(downloads)
    await disk.look()
    monkeypatch.setattr(disk_module, "LOOK_WITHIN_S", 0.05)
    monkeypatch.setattr(disk_module, "SILENT_AFTER_S", 0.4)
    pipe = downloads / STAGING_NAME / f"{PROBE_NAME}.new"
    os.mkfifo(pipe)
    with anyio.fail_after(1):
        assert (await disk.look()).is_open, "busy for a moment is no trouble yet"

    async def is_said() -> bool:
        return (await disk.look()).trouble == f"the disk of {downloads} does not answer"

    await eventually(is_said)
    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))

    async def is_open() -> bool:
        return (await disk.look()).is_open

    await eventually(is_open)


async def test_a_disk_that_hangs_is_looked_at_by_one_thread_however_often_it_is_asked(
    downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "LOOK_WITHIN_S", 0.02)
    disk, answers = a_disk(downloads), threading.Event()
    await disk.look()
    right = disk._write_downloads
    looks: list[int] = []

    def hang() -> None:
        looks.append(1)
        answers.wait(10)
        right()

    monkeypatch.setattr(disk, "_write_downloads", hang)
    for _ in range(10):
        assert (await disk.look()).is_open, "a disk that is busy for a moment is as it was"
    assert len(looks) == 1
    answers.set()
    monkeypatch.setattr(disk_module, "LOOK_WITHIN_S", 5.0)
    assert (await disk.look()).is_open
