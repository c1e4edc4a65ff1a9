"""How often an aria2 is asked while nothing begins or ends."""

import pytest

from node.pace import COST_TIMES, ENDS_TIMES, LAZY_S, least_s, pause_s
from node.transfers import Status, Transfer

USUAL_S = 0.2


def a_transfer(left: int, speed: int, *, total: int = 1 << 30, status: Status = Status.ACTIVE) -> Transfer:
    return Transfer(gid="0" * 16, status=status, total=total, done=total - left, speed=speed)


LONG = a_transfer(1 << 29, 1 << 20)


def test_long_downloads_are_looked_at_as_seldom_as_their_progress_is_told() -> None:
    assert pause_s([LONG, LONG], USUAL_S, 0.001) == LAZY_S


def test_the_first_that_ends_says_when() -> None:
    soon = a_transfer(2000, 1000)
    assert pause_s([LONG, soon], USUAL_S, 0.001) == pytest.approx(2 / ENDS_TIMES)
    assert pause_s([LONG, a_transfer(10, 1000)], USUAL_S, 0.001) == USUAL_S


def test_one_that_does_not_say_when_it_ends_is_looked_at_as_usual() -> None:
    for one in (a_transfer(0, 1000, total=0), a_transfer(1 << 29, 1000, status=Status.WAITING)):
        assert pause_s([LONG, one], USUAL_S, 0.001) == USUAL_S


def test_one_that_stands_still_does_not_end_soon() -> None:
    assert pause_s([a_transfer(1 << 20, 0)], USUAL_S, 0.001) == LAZY_S


def test_a_look_that_takes_long_is_taken_less_often_but_once_a_second() -> None:
    soon = a_transfer(10, 1000)
    assert pause_s([soon], USUAL_S, 0.1) == COST_TIMES * 0.1
    assert (least_s(0.01), least_s(10.0)) == (COST_TIMES * 0.01, LAZY_S)
