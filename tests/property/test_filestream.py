"""Reading a file in chunks: which are asked for, and how many at once."""

from hypothesis import given
from hypothesis import strategies as st

from broker.filestream import ANSWER_WITHIN_S, CHUNK_BYTES, WINDOW_MAX, _spans, next_window
from schemas.transfer import CHUNK_BYTES_MAX

offsets = st.integers(0, 40 * CHUNK_BYTES)
windows = st.integers(1, WINDOW_MAX)


@given(offsets, offsets)
def test_the_chunks_of_a_range_are_just_its_bytes_in_order(start: int, end: int) -> None:
    chunks = list(_spans(start, end))
    at = start
    for chunk in chunks:
        assert chunk.offset == at
        assert 0 < chunk.length <= CHUNK_BYTES <= CHUNK_BYTES_MAX
        at += chunk.length
    assert at == max(start, end)


@given(windows, st.floats(0, 1e4))
def test_the_window_keeps_to_its_limits_and_follows_the_speed(window: int, took_s: float) -> None:
    following = next_window(window, took_s)
    assert 1 <= following <= WINDOW_MAX
    if took_s > ANSWER_WITHIN_S:
        assert following <= max(1, window / 2)


@given(st.integers(60 << 10, 1 << 30), windows)
def test_on_a_link_of_any_speed_the_window_settles_where_chunks_come_in_time(speed: int, window: int) -> None:
    # A chunk waits behind all those in flight before it: that is how long it takes, the window being full.
    for _ in range(20):
        took_s = window * CHUNK_BYTES / speed
        window = next_window(window, took_s)
    assert window * CHUNK_BYTES / speed <= ANSWER_WITHIN_S
