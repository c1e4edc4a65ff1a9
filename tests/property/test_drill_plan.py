"""The plan of a storm: the same for the same seed, everything in its turn, and never everything at once."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tools.drill.plan import (
    BROKER,
    BROKER_EVERY_S,
    LEADER,
    LONG_FREEZE_S,
    OF_COORDINATORS,
    OF_NODES,
    QUIET_END_S,
    Fault,
    Kind,
    plan,
)

NODES = ["node-1", "node-2", "node-3"]
SEEDS = st.integers(0, 1_000_000)
SECONDS = st.integers(5, 90)


def overlapping(faults: tuple[Fault, ...], at_s: float) -> set[str]:
    """What is frozen at a moment, or was killed just then."""
    return {one.target for one in faults if one.at_s <= at_s <= one.at_s + one.for_s}


@given(SEEDS, SECONDS)
def test_the_same_seed_plans_the_same_storm(seed: int, seconds: int) -> None:
    assert plan(seed, seconds, NODES) == plan(seed, seconds, NODES)


def test_another_seed_plans_another_storm() -> None:
    assert len({plan(seed, 30, NODES) for seed in range(50)}) == 50


@given(SEEDS, SECONDS)
def test_faults_come_in_their_order_and_are_over_before_the_storm_is(seed: int, seconds: int) -> None:
    faults = plan(seed, seconds, NODES)
    assert [one.at_s for one in faults] == sorted(one.at_s for one in faults)
    for one in faults:
        assert 0 < one.at_s <= seconds - QUIET_END_S
        assert one.at_s + one.for_s <= seconds + 0.01
        assert (one.for_s > 0) == one.kind.freezes


@given(SEEDS)
def test_a_storm_of_two_minutes_has_each_kind_several_times_and_nearly_one_fault_a_second(seed: int) -> None:
    faults = plan(seed, 120, NODES)
    times = Counter(one.kind for one in faults)
    assert min(times[kind] for kind in Kind) >= 2, times
    assert len(faults) >= 80


@given(SEEDS)
def test_a_storm_of_twenty_seconds_has_most_kinds(seed: int) -> None:
    assert len({one.kind for one in plan(seed, 20, NODES)}) >= 5


@given(SEEDS, SECONDS)
def test_the_broker_rests_between_two_of_its_deaths(seed: int, seconds: int) -> None:
    moments = [one.at_s for one in plan(seed, seconds, NODES) if one.kind is Kind.BROKER_KILLED]
    assert all(later - sooner >= BROKER_EVERY_S for sooner, later in pairwise(moments))


@given(SEEDS, SECONDS, st.integers(2, 5))
def test_one_node_and_one_coordinator_are_always_left_alone(seed: int, seconds: int, count: int) -> None:
    nodes = [f"node-{number}" for number in range(1, count + 1)]
    faults = plan(seed, seconds, nodes)
    for one in faults:
        down = overlapping(tuple(other for other in faults if other.kind in OF_NODES), one.at_s)
        assert len(down) < count
        coordinators = [
            other for other in faults if other.kind in OF_COORDINATORS and 0 <= one.at_s - other.at_s <= other.for_s
        ]
        assert len(coordinators) <= 1


@given(SEEDS, st.integers(20, 90))
def test_a_storm_begins_with_a_node_that_sleeps_past_its_loss(seed: int, seconds: int) -> None:
    first, *_ = plan(seed, seconds, NODES)
    assert first.kind is Kind.NODE_FROZEN
    assert first.for_s >= LONG_FREEZE_S[0]


@given(SEEDS, st.integers(20, 90))
def test_every_storm_strikes_a_leader_and_the_broker(seed: int, seconds: int) -> None:
    assert {LEADER, BROKER} <= {one.target for one in plan(seed, seconds, NODES)}


def test_some_freezes_outlast_the_patience_with_a_silent_node() -> None:
    frozen = [one.for_s for seed in range(5) for one in plan(seed, 120, NODES) if one.kind is Kind.NODE_FROZEN]
    assert any(for_s >= LONG_FREEZE_S[0] for for_s in frozen)
    assert any(for_s < LONG_FREEZE_S[0] for for_s in frozen)
