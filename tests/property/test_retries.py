"""The table of retries: bounded waits, fair to each kind of failure, and an end for everything."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator import retries
from coordinator.retries import BY_CODE, MOVES_MAX, OVERLOADED, PLAIN, RETRY_AFTER_MAX_S
from schemas.settings import CoordinatorSettings
from schemas.task import AttemptRecord, FailureClass
from tests.examples import a_failure
from tests.property.strategies import failures

codes = st.sampled_from([*BY_CODE, "aria2-6", "http-404", ""])
dice = st.floats(0, 1)
counts = st.integers(0, 200)
cluster = st.builds(CoordinatorSettings, retry_base_s=st.floats(0.01, 60), retry_cap_s=st.floats(0.01, 3600))


@given(failures, codes, counts, cluster, dice)
def test_no_wait_is_longer_than_its_cap(
    failure: FailureClass, code: str, before: int, settings: CoordinatorSettings, dice: float
) -> None:
    waits_s = retries.back_off_s(a_failure(failure, code=code), before, settings, dice)
    assert 0 <= waits_s <= min(settings.retry_cap_s, retries.policy_of(failure, code).cap_s)


@given(failures, codes, counts, cluster)
def test_the_jitter_is_full(failure: FailureClass, code: str, before: int, settings: CoordinatorSettings) -> None:
    fact = a_failure(failure, code=code)
    longest_s = retries.back_off_s(fact, before, settings, 1.0)
    assert retries.back_off_s(fact, before, settings, 0.0) == 0.0
    assert abs(retries.back_off_s(fact, before, settings, 0.5) - longest_s / 2) < 1e-6


@given(failures, codes, counts, cluster, dice)
def test_a_further_failure_never_waits_less(
    failure: FailureClass, code: str, before: int, settings: CoordinatorSettings, dice: float
) -> None:
    fact = a_failure(failure, code=code)
    assert retries.back_off_s(fact, before + 1, settings, dice) >= retries.back_off_s(fact, before, settings, dice)


@given(failures, codes, st.floats(-1e9, 1e9), counts, cluster, dice)
def test_what_an_origin_asks_is_waited_for_up_to_an_hour(
    failure: FailureClass, code: str, asked_s: float, before: int, settings: CoordinatorSettings, dice: float
) -> None:
    waits_s = retries.back_off_s(a_failure(failure, code=code, retry_after_s=asked_s), before, settings, dice)
    assert waits_s >= min(asked_s, RETRY_AFTER_MAX_S)
    assert waits_s <= max(settings.retry_cap_s, RETRY_AFTER_MAX_S)


@given(counts, cluster)
def test_an_overloaded_origin_gets_at_least_as_long_as_any_other(before: int, settings: CoordinatorSettings) -> None:
    busy, plain = (retries.back_off_s(a_failure(code=code), before, settings, 1.0) for code in ("http-503", "aria2-6"))
    assert busy >= plain


@given(st.lists(st.tuples(failures, codes), max_size=20), failures, codes)
def test_only_failures_of_a_kind_use_up_the_tries_of_that_kind(
    past: list[tuple[FailureClass, str]], failure: FailureClass, code: str
) -> None:
    records = [AttemptRecord(at, "node-a", "", *one) for at, one in enumerate(past, 1)]
    policy = retries.policy_of(failure, code)
    alike = sum(retries.policy_of(*one) is policy for one in past) + 1
    expected = policy.tries_max is not None and alike >= policy.tries_max
    assert retries.is_used_up(a_failure(failure, code=code), records) == expected


@given(counts, cluster, dice)
def test_a_lost_node_is_followed_by_no_wait_at_first_and_by_a_bounded_one_later(
    moves: int, settings: CoordinatorSettings, dice: float
) -> None:
    waits_s = retries.after_loss_s(moves, settings, dice)
    assert 0 <= waits_s <= settings.retry_cap_s
    assert moves >= retries.LOSSES_FREE or waits_s == 0.0


def test_the_kinds_are_told_apart() -> None:
    assert retries.policy_of(FailureClass.TRANSIENT, "http-503") is OVERLOADED
    assert retries.policy_of(FailureClass.TRANSIENT, "aria2-6") is PLAIN
    assert retries.policy_of(FailureClass.NODE, "http-503") is retries.ELSEWHERE
    assert MOVES_MAX > retries.LOSSES_FREE
