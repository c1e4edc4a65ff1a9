"""How many tasks may wait at a node beyond its slots: a second's worth."""

import pytest

from coordinator.turnover import AHEAD_S, HALF_LIFE_S, SLOTS_MAX, Turnover


def steady(per_s: float, seconds: float = 30.0) -> Turnover:
    turnover = Turnover()
    for number in range(int(per_s * seconds)):
        turnover.left("node", number / per_s)
    return turnover


@pytest.mark.parametrize("per_s", [1, 10, 200])
def test_a_steady_rate_is_known_after_a_while(per_s: float) -> None:
    assert steady(per_s).per_s("node", 30.0) == pytest.approx(per_s, rel=0.25)


def test_a_node_that_finishes_nothing_gets_a_quarter_of_its_slots_ahead() -> None:
    assert Turnover().prefetch("node", 8, 0.0) == 2
    assert Turnover().prefetch("node", 1, 0.0) == 1


def test_a_quick_node_gets_what_it_finishes_in_a_moment() -> None:
    assert steady(100).prefetch("node", 64, 30.0) == pytest.approx(100 * AHEAD_S, abs=4)


def test_no_node_gets_more_than_a_few_times_its_slots() -> None:
    assert steady(1000).prefetch("node", 8, 30.0) == SLOTS_MAX * 8


def test_a_node_that_slows_down_gets_less_again() -> None:
    assert steady(100).prefetch("node", 8, 30.0 + 10 * HALF_LIFE_S) == 2


def test_nodes_are_counted_apart() -> None:
    assert steady(100).per_s("another", 30.0) == 0.0
