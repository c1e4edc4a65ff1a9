"""What the download folder takes up of what it is allotted."""

import os
from pathlib import Path

import pytest

from node.allotment import Allotment, finished_bytes, staged_bytes
from node.disk import PROBE_BYTES, Disk
from node.room import Marks
from schemas.errors import SettingInvalid
from schemas.request import STAGING_NAME
from schemas.settings import NodeSettings

MIB = 1 << 20


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    for folder in ("downloads/inner/deeper", f"downloads/{STAGING_NAME}/00000000000000aa", "state"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path / "downloads"


def put(path: Path, mib: int) -> None:
    path.write_bytes(os.urandom(mib * MIB))


def test_finished_and_staged_files_are_counted_apart(downloads: Path) -> None:
    put(downloads / "a", 1)
    put(downloads / "inner" / "deeper" / "b", 2)
    put(downloads / STAGING_NAME / "00000000000000aa" / "data", 4)
    assert finished_bytes(downloads) == 3 * MIB
    assert staged_bytes(downloads) == 4 * MIB


def test_what_is_not_counted_yet_leaves_nothing_free(downloads: Path) -> None:
    assert Allotment(downloads, 100 * MIB).free() == 0


async def test_what_got_its_place_since_counts_and_what_was_deleted_does_not(downloads: Path) -> None:
    allotment = Allotment(downloads, 10 * MIB)
    put(downloads / "a", 1)
    await allotment.count()
    assert allotment.free() == 9 * MIB
    allotment.placed(3 * MIB)
    assert allotment.free() == 6 * MIB
    allotment.placed(-2 * MIB)
    put(downloads / STAGING_NAME / "00000000000000aa" / "data", 4)
    assert allotment.free() == 4 * MIB
    await allotment.count()
    assert allotment.free() == 5 * MIB, "counted anew: only one file lies there"


async def test_more_than_is_allotted_leaves_nothing_not_less(downloads: Path) -> None:
    put(downloads / "a", 3)
    allotment = Allotment(downloads, 2 * MIB)
    await allotment.count()
    assert allotment.free() == 0


async def test_a_node_that_has_used_up_its_share_says_so_and_takes_no_tasks(downloads: Path) -> None:
    put(downloads / "a", 3)
    allotment = Allotment(downloads, 5 * MIB)
    await allotment.count()
    room = await Disk(downloads, downloads.parent / "state", Marks(3 * MIB, 4 * MIB), allotment).look()
    assert room.trouble == "what node.disk allows is used up: 2 MiB free, takes tasks again at 4 MiB"
    assert 2 * MIB - 4 * PROBE_BYTES < room.free_bytes <= 2 * MIB, "the look itself leaves a probe"
    assert room.capacity_bytes == 5 * MIB


def test_an_allotment_below_the_low_mark_is_refused_and_says_why() -> None:
    with pytest.raises(SettingInvalid, match=r"node.disk \(100 MiB\) leaves nothing above node.disk_low"):
        Marks.of(NodeSettings(disk=100 * MIB))


def test_of_a_small_allotment_less_must_come_free_to_take_tasks_again() -> None:
    assert Marks.of(NodeSettings(disk=512 * MIB)) == Marks(256 * MIB, 384 * MIB)
    assert Marks.of(NodeSettings(disk=1 << 40)) == Marks.of(NodeSettings())
