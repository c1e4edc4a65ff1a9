"""Room on a node's disk: whatever is found there and whatever it holds, these hold."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from node.room import Download, Look, Marks, Partial, Room, after, fits, leaving, strays

marks = st.tuples(st.integers(0, 100), st.integers(0, 100)).map(lambda both: Marks(min(both), max(both)))
looks = st.builds(
    Look,
    free_bytes=st.integers(0, 150),
    problem=st.sampled_from(["", "", "broken"]),
    is_spent=st.just(False),
    state_problem=st.sampled_from(["", "", "", "small"]),
)
downloads = st.lists(
    st.builds(Download, st.sampled_from("abcdefgh"), st.booleans(), st.integers(0, 60)),
    max_size=8,
    unique_by=lambda one: one.task,
)
partials = st.lists(
    st.builds(Partial, st.sampled_from("abcdefgh"), st.integers(0, 50), st.floats(0, 9000), st.booleans()),
    max_size=8,
    unique_by=lambda one: one.task,
)


def rooms(seen: list[Look], marks: Marks) -> list[Room]:
    found = [Room()]
    for look in seen:
        found.append(after(found[-1], look, marks))
    return found[1:]


@given(st.lists(looks, min_size=1), marks)
def test_tasks_are_taken_only_above_the_low_mark_and_where_all_can_be_written(seen: list[Look], marks: Marks) -> None:
    for look, room in zip(seen, rooms(seen, marks), strict=True):
        if room.is_open:
            assert look.free_bytes >= marks.low
            assert not look.problem
            assert not look.state_problem
        elif not look.problem and not look.state_problem:
            assert look.free_bytes < marks.high


@given(st.lists(looks, min_size=2), marks)
def test_it_never_opens_below_the_high_mark_once_it_was_full(seen: list[Look], marks: Marks) -> None:
    found = rooms(seen, marks)
    for before, room in pairwise(found):
        if before.is_low and room.is_open:
            assert room.free_bytes >= marks.high


@given(looks, marks, downloads)
def test_what_stays_fits_on_the_disk(look: Look, marks: Marks, held: list[Download]) -> None:
    room = after(Room(), look, marks)
    away = leaving(room, held, marks)
    assert len(set(away)) == len(away)
    stays = [one for one in held if one.task not in away]
    assert sum(one.left for one in stays if one.has_begun) <= room.free_bytes
    if any(not one.has_begun for one in stays):
        assert room.is_open


@given(looks, marks, downloads)
def test_nothing_that_runs_is_stopped_where_all_of_it_fits(look: Look, marks: Marks, held: list[Download]) -> None:
    room = after(Room(), look, marks)
    running = [one for one in held if one.has_begun]
    if room.is_writable and sum(one.left for one in running) <= room.free_bytes:
        assert not {one.task for one in running} & set(leaving(room, held, marks))


@given(looks, marks, downloads)
def test_deciding_again_after_what_left_is_gone_changes_nothing(look: Look, marks: Marks, held: list[Download]) -> None:
    room = after(Room(), look, marks)
    away = leaving(room, held, marks)
    assert leaving(room, [one for one in held if one.task not in away], marks) == []


@given(looks, marks, st.integers(0, 60), st.integers(0, 100))
def test_what_may_begin_is_not_given_back_with_the_next_look(look: Look, marks: Marks, size: int, others: int) -> None:
    room = after(Room(), look, marks)
    if fits(room, size, others, marks) and others <= room.free_bytes:
        held = [Download("other", True, others), Download("new", False, size)]
        assert leaving(room, held, marks) == []


@given(partials, st.floats(0, 10_000), st.integers(0, 200))
def test_no_more_partials_go_than_are_needed(found: list[Partial], now: float, missing: int) -> None:
    going = strays(found, now=now, missing_bytes=missing)
    old = strays(found, now=now, missing_bytes=0)
    assert set(old) <= set(going)
    early = [one for one in going if one not in old]
    assert not any(one.is_journalled for one in early)
    if early:
        assert sum(one.bytes for one in going) - early[-1].bytes < missing
