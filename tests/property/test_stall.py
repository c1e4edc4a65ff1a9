"""The stall watchdog: what stands still is given up in time, and what moves never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.stall import (
    FLOOR_BYTES_PER_S,
    LOOK_EVERY_MAX_S,
    STANDSTILL_SHARE,
    UNSEEN_MAX_S,
    Sample,
    Stalled,
    StallWatch,
    floor_bytes_per_s,
    patience_s,
)

TIMEOUT_S = 60.0
START = 1000.0
FLOOR_BYTES = FLOOR_BYTES_PER_S * TIMEOUT_S
gaps = st.lists(st.floats(0.1, LOOK_EVERY_MAX_S), min_size=200, max_size=400)


def watching(options: dict[str, str] | None = None) -> StallWatch:
    watch = StallWatch(TIMEOUT_S)
    watch.begin("a", options or {})
    return watch


@given(gaps, st.integers(0, 1 << 40), st.integers(0, 1 << 30))
def test_what_receives_nothing_is_given_up_in_the_time_and_not_earlier(gaps: list[float], done: int, lag: int) -> None:
    watch, now, given_up = watching(), START, None
    for index, gap in enumerate(gaps):
        # aria2's speed is an average: it tells of bytes for a while after the last one.
        if watch.look([Sample("a", done, lag if index < 10 else 0)], now):
            given_up = now
            break
        now += gap
    if given_up is None:
        assert now - START < TIMEOUT_S + 15
    else:
        assert TIMEOUT_S <= given_up - START <= TIMEOUT_S + 15


@given(gaps, st.integers(FLOOR_BYTES_PER_S + 1, 1 << 24))
def test_what_keeps_above_the_floor_is_never_given_up(gaps: list[float], speed: int) -> None:
    watch, now, received = watching(), START, 0.0
    for gap in gaps:
        block = 16 << 10
        assert watch.look([Sample("a", int(received // block) * block, speed)], now) == []
        now += gap
        received += speed * gap


@given(gaps, st.integers(0, FLOOR_BYTES_PER_S // 2))
def test_a_trickle_below_the_floor_is_given_up(gaps: list[float], speed: int) -> None:
    watch, now, received = watching(), START, 0.0
    stalled: list[Stalled] = []
    while not stalled and now - START < 3 * TIMEOUT_S:
        for gap in gaps:
            stalled = watch.look([Sample("a", int(received), speed)], now)
            if stalled:
                break
            now += gap
            received += speed * gap
    assert stalled
    assert now - START <= TIMEOUT_S + 15
    assert stalled[0].received < FLOOR_BYTES


@given(st.lists(st.floats(UNSEEN_MAX_S + 0.1, 1e6), min_size=1, max_size=50))
def test_time_that_nobody_watched_does_not_count(pauses: list[float]) -> None:
    watch, now = watching(), START
    for pause in pauses:
        assert watch.look([Sample("a", 0, 0)], now) == []
        now += pause


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 60),
        ({"timeout": "20"}, 60),
        ({"timeout": "300"}, 305),
        ({"max-tries": "10", "retry-wait": "30"}, 305),
        ({"retry-wait": "60"}, 185),
        ({"max-tries": "5"}, 60),
    ],
)
def test_a_request_that_sets_its_own_patience_gets_it(options: dict[str, str], seconds: float) -> None:
    assert patience_s(options, TIMEOUT_S) == seconds


@pytest.mark.parametrize(
    ("options", "floor"),
    [
        ({}, 64),
        ({"max-download-limit": "2M"}, 64),
        ({"max-download-limit": "100"}, 50),
        ({"lowest-speed-limit": "0"}, 64),
    ],
)
def test_a_request_that_limits_its_own_speed_does_not_stall_by_it(options: dict[str, str], floor: float) -> None:
    assert floor_bytes_per_s(options) == floor


def test_a_lane_of_which_nothing_moves_is_suspected_once_until_something_moves() -> None:
    watch, now = watching(), START
    watch.moved(now)
    suspected = []
    for second in range(50):
        watch.look([Sample("a", 0, 0)], now + second)
        if watch.all_stand_still(["a"], now + second):
            suspected.append(second)
    assert suspected == [int(STANDSTILL_SHARE * TIMEOUT_S)]
    watch.look([Sample("a", 1 << 20, 0)], now + 51)
    assert not watch.all_stand_still(["a"], now + 51)
    assert watch.all_stand_still(["a"], now + 51 + STANDSTILL_SHARE * TIMEOUT_S)


def test_a_lane_that_holds_nothing_does_not_stand_still() -> None:
    watch = watching()
    assert not watch.all_stand_still([], START + 1e6)
    assert not watch.all_stand_still(["a"], START + 1e6 + 1)
