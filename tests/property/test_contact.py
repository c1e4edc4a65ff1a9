"""A node never runs what is limited when its lock may have run out, whatever becomes of its renewals."""

from hypothesis import given
from hypothesis import strategies as st

from node.contact import HOLD_SHARE, KILL_SHARE, LOOKS_PER_LIFE, Standing, judged

TTL_S = 10.0
moments = st.floats(0, 100)


@given(now=moments, sure_until=moments, acquired_at=moments, read_at=moments)
def test_it_is_sure_only_with_time_left_and_after_a_reading_that_began_when_the_lock_was_its_own(
    now: float, sure_until: float, acquired_at: float, read_at: float
) -> None:
    standing = judged(now, sure_until=sure_until, ttl_s=TTL_S, acquired_at=acquired_at, read_at=read_at)
    if standing is Standing.SURE:
        assert sure_until - now > HOLD_SHARE * TTL_S
        assert read_at > acquired_at
    if standing is not Standing.OVER:
        assert sure_until - now > KILL_SHARE * TTL_S, "killed before the lock runs out"


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(2, 10))
def test_between_the_last_look_and_the_end_of_the_lock_there_is_time_to_stop_and_to_kill(
    renewals: list[bool], ttl_s: int
) -> None:
    """Looks come at their pace; each renewal that works is counted from before it was sent."""
    step = ttl_s / LOOKS_PER_LIFE
    sure_until, asked_to_stop, killed = float(ttl_s), None, None
    for number, works in enumerate([*renewals, *[False] * LOOKS_PER_LIFE]):
        now = number * step
        if works and now < sure_until:
            sure_until, asked_to_stop, killed = now + ttl_s, None, None
        standing = judged(now, sure_until=sure_until, ttl_s=ttl_s, acquired_at=-2.0, read_at=-1.0)
        if standing is not Standing.SURE and asked_to_stop is None:
            asked_to_stop = now
        if standing is Standing.OVER and killed is None:
            killed = now
    assert asked_to_stop is not None
    assert killed is not None
    assert killed - asked_to_stop >= (HOLD_SHARE - KILL_SHARE) * ttl_s - step
    assert sure_until - killed >= KILL_SHARE * ttl_s - 2 * step


def test_a_lock_that_ran_out_and_is_its_own_again_asks_for_a_reading() -> None:
    assert judged(20.0, sure_until=29.0, ttl_s=TTL_S, acquired_at=19.0, read_at=18.5) is Standing.UNREAD
    assert judged(20.0, sure_until=29.0, ttl_s=TTL_S, acquired_at=19.0, read_at=19.5) is Standing.SURE
