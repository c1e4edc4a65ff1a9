"""The life of a task is one table, and the table holds what it promises."""

from collections.abc import Iterable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import IllegalTransition
from schemas.lifecycle import (
    FINISHED,
    LIVE,
    TABLE,
    WISHES,
    Desired,
    Outcome,
    State,
    Step,
    Wish,
    advance,
    after_leaving,
    wish,
)

ILLEGAL = [pair for pair in product(State, Step) if pair not in TABLE]


def reachable(start: State, steps: Iterable[Step] = Step) -> set[State]:
    """Every state that `steps` can lead to from `start`."""
    allowed, found, edge = set(steps), {start}, [start]
    while edge:
        state = edge.pop()
        for (before, step), then in TABLE.items():
            if before is state and step in allowed and then not in found:
                found.add(then)
                edge.append(then)
    return found


@pytest.mark.parametrize(("state", "step"), ILLEGAL)
def test_an_illegal_step_raises_and_says_which(state: State, step: Step) -> None:
    before = dict(TABLE)
    with pytest.raises(IllegalTransition, match=f"a task that is {state} can't {step}"):
        advance(state, step)
    assert before == TABLE


@pytest.mark.parametrize(("state", "step"), TABLE)
def test_a_legal_step_leads_where_the_table_says(state: State, step: Step) -> None:
    assert advance(state, step) is TABLE[state, step]


@pytest.mark.parametrize("state", sorted(LIVE | {State.ENDING}))
def test_every_state_can_reach_an_end(state: State) -> None:
    assert reachable(state) & FINISHED


@pytest.mark.parametrize("state", sorted(LIVE))
def test_every_live_state_can_reach_every_outcome(state: State) -> None:
    assert reachable(state) >= {State(outcome) for outcome in Outcome}


@pytest.mark.parametrize("state", sorted(FINISHED))
def test_what_is_finished_stays_so(state: State) -> None:
    assert reachable(state) == {state}


@pytest.mark.parametrize("state", sorted(LIVE))
def test_only_a_completion_ends_a_task_without_winning_its_row_first(state: State) -> None:
    assert reachable(state, set(Step) - {Step.END}) & FINISHED == {State.COMPLETED}


def test_a_task_that_is_ending_never_runs_again() -> None:
    assert not reachable(State.ENDING) & LIVE


def test_every_state_can_be_reached_from_the_queue() -> None:
    assert reachable(State.QUEUED) == set(State)


CANCELLED = Wish(Desired.CANCEL)
WISHABLE = sorted({before for before, _ in WISHES} | set(WISHES.values()))
"""Every wish that can stand in a row."""
ASKED_BY_PEOPLE = sorted(set(Desired) - {Desired.RELEASE})
asks = st.lists(st.sampled_from(Desired))


def after(asked: Iterable[Desired]) -> Wish:
    """What is wished after each of `asked`, one after the other."""
    current = Wish(Desired.RUN)
    for one in asked:
        current = wish(current, one)
    return current


@pytest.mark.parametrize("asked", Desired)
def test_a_cancel_is_final(asked: Desired) -> None:
    assert wish(CANCELLED, asked) == CANCELLED


@pytest.mark.parametrize("current", WISHABLE, ids=str)
def test_a_cancel_can_always_be_asked(current: Wish) -> None:
    assert wish(current, Desired.CANCEL) == CANCELLED


@pytest.mark.parametrize("current", [one for one in WISHABLE if one != CANCELLED], ids=str)
def test_a_release_can_be_asked_of_whatever_is_not_cancelled(current: Wish) -> None:
    assert wish(current, Desired.RELEASE).desired is Desired.RELEASE


@pytest.mark.parametrize("current", [one for one in WISHABLE if one.desired is Desired.RELEASE], ids=str)
@pytest.mark.parametrize("asked", sorted(set(Desired) - {Desired.CANCEL}))
def test_a_release_ends_only_by_leaving(current: Wish, asked: Desired) -> None:
    assert wish(current, asked).desired is Desired.RELEASE


@pytest.mark.parametrize("current", [one for one in WISHABLE if one.desired is not Desired.RELEASE], ids=str)
def test_leaving_changes_no_wish_but_release(current: Wish) -> None:
    assert after_leaving(*current) is current.desired


@given(asks)
def test_a_release_takes_no_pause_away_and_gives_none(asked: list[Desired]) -> None:
    """Whatever people ask before and after, and however often the task is asked back: it leaves as they wished."""
    without = [one for one in asked if one is not Desired.RELEASE]
    assert after_leaving(*after(asked)) is after(without).desired


@given(asks)
def test_a_wish_that_people_have_is_kept_once(asked: list[Desired]) -> None:
    current = after(asked)
    assert current in WISHABLE
    if current.desired is not Desired.RELEASE:
        assert current.then is Desired.RUN, "it would be found again by a later release"


@given(st.sampled_from(WISHABLE), st.sampled_from(ASKED_BY_PEOPLE))
def test_what_people_ask_is_what_a_task_leaves_with_unless_it_is_cancelled(current: Wish, asked: Desired) -> None:
    assert after_leaving(*wish(current, asked)) is (Desired.CANCEL if current == CANCELLED else asked)


@given(asks, asks)
def test_nothing_asked_after_a_cancel_matters(before: list[Desired], later: list[Desired]) -> None:
    assert after((*before, Desired.CANCEL, *later)) == CANCELLED
