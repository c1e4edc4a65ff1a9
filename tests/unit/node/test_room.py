"""What a node's disk lets it do, by example."""

import pytest
from msgspec.structs import replace

from node.room import (
    JOURNAL_AGE_S,
    STRAY_AGE_S,
    Download,
    Look,
    Marks,
    Partial,
    Room,
    after,
    fits,
    is_near,
    leaving,
    missing_bytes,
    outgrowing,
    strays,
)
from schemas.settings import NodeSettings
from tests.examples import GIB

MIB = 1 << 20
MARKS = Marks(low=100, high=200)
OPEN = after(Room(), Look(free_bytes=1000), MARKS)
FULL = after(OPEN, Look(free_bytes=99), MARKS)
BROKEN = after(OPEN, Look(free_bytes=1000, problem="can't write to /d: Read-only file system"), MARKS)


def test_a_node_takes_no_tasks_before_its_disk_was_looked_at() -> None:
    assert not Room().is_open


def test_it_closes_below_the_low_mark_and_opens_from_the_high_one_on() -> None:
    room, states = OPEN, []
    for free in (150, 100, 99, 150, 199, 200, 150, 100, 99):
        room = after(room, Look(free_bytes=free), MARKS)
        states.append(room.is_open)
    assert states == [True, True, False, False, False, True, True, True, False]


def test_between_the_marks_a_node_that_starts_is_open() -> None:
    assert after(Room(), Look(free_bytes=150), MARKS).is_open


def test_a_full_disk_says_what_is_free_and_when_it_opens() -> None:
    room = after(OPEN, Look(free_bytes=31 * MIB), Marks(64 * MIB, GIB))
    assert room.trouble == "the disk is full: 31 MiB free, takes tasks again at 1 GiB"


def test_only_what_is_new_is_worth_saying_again() -> None:
    emptier = after(FULL, Look(free_bytes=150), MARKS)
    assert emptier.trouble != FULL.trouble
    assert emptier.kind == FULL.kind
    assert BROKEN.kind not in (FULL.kind, OPEN.kind)


def test_a_folder_that_cannot_be_written_is_closed_whatever_is_free() -> None:
    assert BROKEN.trouble == "can't write to /d: Read-only file system"
    assert not BROKEN.is_writable
    assert after(BROKEN, Look(free_bytes=1000), MARKS).is_open


def test_a_quota_or_a_lack_of_file_entries_closes_although_bytes_are_free() -> None:
    room = after(OPEN, Look(free_bytes=1000, problem="can't write to /d: Disk quota exceeded", is_spent=True), MARKS)
    assert (room.is_open, room.is_writable, room.wants_room) == (False, True, True)
    assert "quota" in room.trouble


def test_a_disk_full_to_the_last_block_is_full_not_broken() -> None:
    room = after(OPEN, Look(free_bytes=0, problem="can't write to /d: No space left on device", is_spent=True), MARKS)
    assert room.trouble.startswith("the disk is full")


def test_a_state_folder_in_trouble_lets_run_what_runs() -> None:
    room = after(OPEN, Look(free_bytes=1000, state_problem="can't write to /s: No space left on device"), MARKS)
    assert (room.is_open, room.is_writable) == (False, True)
    assert leaving(room, [Download("a", True, 5), Download("b", False, 5)], MARKS) == ["b"]


def test_the_high_mark_is_never_below_the_low_one() -> None:
    assert Marks.of(NodeSettings(disk_low=5 * GIB)) == (5 * GIB, 5 * GIB)


def test_a_full_disk_gives_back_what_has_not_begun() -> None:
    assert leaving(FULL, [Download("a", True, 0), Download("b", False, 10), Download("c", True, 40)], MARKS) == ["b"]


def test_of_what_runs_whatever_has_most_to_come_goes_until_the_rest_fits() -> None:
    held = [Download("a", True, 60), Download("b", True, 30), Download("c", True, 0), Download("d", True, 50)]
    assert leaving(FULL, held, MARKS) == ["a"]
    assert leaving(replace(FULL, free_bytes=29), held, MARKS) == ["a", "d", "b"]


def test_where_nothing_can_be_written_everything_goes() -> None:
    assert leaving(BROKEN, [Download("a", True, 0), Download("b", False, 0)], MARKS) == ["a", "b"]


def test_of_what_waits_whatever_would_fill_the_disk_beyond_its_low_mark_goes() -> None:
    held = [Download("a", True, 500), Download("b", False, 401), Download("c", False, 400), Download("d", False, 1)]
    assert leaving(OPEN, held, MARKS) == ["b", "d"], "the first that fits keeps its place"
    assert leaving(OPEN, [Download("a", False, 0)], MARKS) == [], "of unknown size: it is tried"


def test_what_would_be_given_back_does_not_begin() -> None:
    assert fits(OPEN, 400, 500, MARKS)
    assert not fits(OPEN, 401, 500, MARKS)
    assert fits(OPEN, 0, 10_000, MARKS)
    assert not fits(FULL, 0, 0, MARKS)


def a_partial(task: str, age_s: float, size: int = 10, is_journalled: bool = False) -> Partial:
    return Partial(task, size, 1e9 - age_s, is_journalled)


def gone(partials: list[Partial], missing: int = 0) -> list[str]:
    return [one.task for one in strays(partials, now=1e9, missing_bytes=missing)]


def test_partials_go_after_an_hour_and_not_before() -> None:
    assert gone([a_partial("young", STRAY_AGE_S - 1), a_partial("old", STRAY_AGE_S + 1)]) == ["old"]


def test_where_room_is_needed_the_oldest_go_at_once_until_there_is_enough() -> None:
    partials = [a_partial("b", 20), a_partial("c", 10), a_partial("a", 30)]
    assert gone(partials, missing=11) == ["a", "b"]


def test_a_placed_file_waits_for_its_tasks_fate_as_long_as_the_log_may_tell() -> None:
    partials = [a_partial("day", 86_400, is_journalled=True), a_partial("month", JOURNAL_AGE_S + 1, is_journalled=True)]
    assert gone(partials) == ["month"]


def test_the_journal_of_a_placed_file_is_not_deleted_for_room() -> None:
    assert gone([a_partial("a", 30, is_journalled=True), a_partial("b", 20)], missing=1) == ["b"]


@pytest.mark.parametrize(
    ("room", "missing"), [(OPEN, 0), (FULL, 101), (BROKEN, 0)], ids=["open", "full", "can't be written"]
)
def test_room_is_made_up_to_the_high_mark(room: Room, missing: int) -> None:
    assert missing_bytes(room, MARKS) == missing


GROWING = [Download("a", True, 0, has=300), Download("b", True, 100), Download("c", True, 0, has=200)]


@pytest.mark.parametrize(
    ("free", "gone"),
    [(200, []), (199, ["a"]), (150, ["a"]), (149, ["c", "a"])],
)
def test_of_what_tells_no_size_the_largest_ends_before_it_takes_the_low_mark_or_what_others_need(
    free: int, gone: list[str]
) -> None:
    assert outgrowing(Room(free_bytes=free), GROWING, Marks(100, 500)) == gone


def test_the_disk_is_looked_at_soon_where_what_tells_no_size_comes_near_the_low_mark() -> None:
    held = [Download("a", True, 0, has=1, speed=50), Download("b", True, 100)]
    assert not is_near(Room(free_bytes=400), held, Marks(100, 500))
    assert is_near(Room(free_bytes=399), held, Marks(100, 500))
    assert not is_near(Room(free_bytes=0), held[1:], Marks(100, 500))


def test_what_tells_its_size_does_not_outgrow_the_disk() -> None:
    assert outgrowing(Room(free_bytes=0), [Download("a", True, 900)], Marks(100, 500)) == []
