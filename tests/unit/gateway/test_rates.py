"""How many requests a key may make."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.rates import BURST_S, FORGOTTEN_ABOVE, Rates, retry_after


def test_a_key_that_rested_may_ask_a_whole_burst_at_once() -> None:
    rates = Rates(10)
    taken = [rates.take("a", 100.0) for _ in range(30)]
    assert taken.count(0.0) == 10 * BURST_S


def test_who_waits_as_long_as_told_may_ask_again() -> None:
    rates = Rates(10)
    now = 100.0
    while (wait := rates.take("a", now)) == 0.0:
        pass
    assert rates.take("a", now + wait / 2) > 0
    assert rates.take("a", now + wait + 1e-6) == 0.0


def test_one_key_leaves_others_alone() -> None:
    rates = Rates(1)
    while rates.take("a", 100.0) == 0.0:
        pass
    assert rates.take("b", 100.0) == 0.0


def test_more_than_a_burst_at_once_is_let_through_a_full_bucket_and_paid_for_later() -> None:
    rates = Rates(10)
    assert rates.take("a", 100.0, 1000) == 0.0
    assert rates.take("a", 150.0) > 0
    assert rates.take("a", 201.0) == 0.0


def test_nothing_is_counted_without_a_limit() -> None:
    rates = Rates(0)
    assert {rates.take("a", 100.0) for _ in range(1000)} == {0.0}
    assert len(rates) == 0


def test_keys_that_are_owed_everything_are_forgotten() -> None:
    rates = Rates(10)
    for number in range(3 * FORGOTTEN_ABOVE):
        rates.take(f"key-{number}", number * 1.0)
    assert len(rates) <= FORGOTTEN_ABOVE


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=300), st.integers(1, 50))
def test_over_any_stretch_no_more_is_let_through_than_the_burst_and_the_rate(gaps: list[float], per_s: int) -> None:
    rates, now, passed = Rates(per_s), 100.0, []
    for gap in gaps:
        now += gap
        if rates.take("a", now) == 0.0:
            passed.append(now)
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= per_s * (passed[last] - start + BURST_S) + 1.001


def test_a_wait_is_told_in_whole_seconds_and_never_none() -> None:
    assert [retry_after(seconds) for seconds in (0.01, 1.0, 1.2)] == ["1", "1", "2"]
