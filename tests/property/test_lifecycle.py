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


@pytest.mark.parametrize("asked", Desired)
def test_a_cancel_is_final(asked: Desired) -> None:
    assert wish(Desired.CANCEL, asked) is Desired.CANCEL


@pytest.mark.parametrize("asked", sorted(set(Desired) - {Desired.CANCEL}))
def test_a_release_ends_only_by_leaving(asked: Desired) -> None:
    assert wish(Desired.RELEASE, asked) is Desired.RELEASE
    assert after_leaving(Desired.RELEASE) is Desired.RUN


@pytest.mark.parametrize("current", sorted(set(Desired) - {Desired.RELEASE}))
def test_leaving_changes_no_wish_but_release(current: Desired) -> None:
    assert after_leaving(current) is current


@pytest.mark.parametrize("current", Desired)
def test_a_cancel_can_always_be_asked(current: Desired) -> None:
    assert wish(current, Desired.CANCEL) is Desired.CANCEL


@given(st.sampled_from(Desired), st.lists(st.sampled_from(Desired)))
def test_a_wish_is_what_was_asked_or_what_it_was(current: Desired, asked: list[Desired]) -> None:
    for one in asked:
        after = wish(current, one)
        assert after is (one if (current, one) in WISHES else current)
        current = after


@given(st.lists(st.sampled_from(Desired)), st.lists(st.sampled_from(Desired)))
def test_nothing_asked_after_a_cancel_matters(before: list[Desired], later: list[Desired]) -> None:
    current = Desired.RUN
    for asked in (*before, Desired.CANCEL, *later):
        current = wish(current, asked)
    assert current is Desired.CANCEL
