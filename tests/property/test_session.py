"""A node's session: whatever happens in whatever order, it never gets stuck."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from node.reporter import shown
from node.session import (
    BEGINS,
    TABLE,
    Phase,
    Session,
    Signal,
    Step,
    Wanted,
    after,
    begun,
    next_step,
    rewished,
    wanted_of,
)
from schemas.errors import IllegalTransition
from schemas.lifecycle import Desired
from schemas.task import SLOT_FREE, UNLESS_BEGUN
from tests.examples import a_session, an_assigned_row

SIGNALS = {phase: [signal for before, signal in TABLE if before is phase] for phase in Phase}
UNDER_WAY = [phase for phase in Phase if SIGNALS[phase]]
ILLEGAL = [pair for pair in product(Phase, Signal) if pair not in TABLE]
LANES = ("", "small")

wanteds = st.sampled_from(Wanted)
sessions = st.builds(
    a_session, phase=st.sampled_from(Phase), wanted=wanteds, lane=st.sampled_from(LANES), said_paused=st.booleans()
)


def signalled(session: Session, signal: Signal) -> Session:
    """As the agent does it: a probe that succeeds has chosen a lane."""
    return replace(after(session, signal), lane="small" if signal is Signal.PROBED else session.lane)


def follows(session: Session, *, admitted: bool = True) -> list[Session]:
    """Every session that could come next."""
    step = next_step(session, admitted=admitted)
    if step is not None:
        return [begun(session, step)]
    return [signalled(session, signal) for signal in SIGNALS[session.phase]]


def futures(session: Session) -> set[tuple[Phase, str, bool]]:
    found: set[tuple[Phase, str, bool]] = set()
    edge = [session]
    while edge:
        one = edge.pop()
        key = (one.phase, one.lane, one.said_paused)
        if key not in found:
            found.add(key)
            edge += follows(one)
    return found


@pytest.mark.parametrize(("phase", "signal"), ILLEGAL)
def test_a_signal_that_a_phase_does_not_know_raises_and_changes_nothing(phase: Phase, signal: Signal) -> None:
    session = a_session(phase=phase)
    with pytest.raises(IllegalTransition, match=f"a session that is {phase} can't be {signal}"):
        after(session, signal)
    assert session == a_session(phase=phase)


@pytest.mark.parametrize(("phase", "lane"), list(product(Phase, LANES)))
@pytest.mark.parametrize("wanted", [Wanted.RUN, Wanted.GIVE_BACK, Wanted.DROP])
def test_every_phase_can_end_unless_a_pause_is_wanted(phase: Phase, lane: str, wanted: Wanted) -> None:
    session = a_session(phase=phase, lane=lane, wanted=wanted)
    assert Phase.OVER in {reached for reached, _, _ in futures(session)}


@pytest.mark.parametrize(("phase", "lane"), list(product(Phase, LANES)))
def test_every_phase_can_end_or_rest_where_a_pause_is_wanted(phase: Phase, lane: str) -> None:
    reached = futures(a_session(phase=phase, lane=lane, wanted=Wanted.PAUSE))
    rests = any(one is Phase.WAITING and said_paused for one, _, said_paused in reached)
    assert rests or Phase.OVER in {one for one, _, _ in reached}


@pytest.mark.parametrize("wanted", Wanted)
@pytest.mark.parametrize("phase", UNDER_WAY)
def test_every_step_under_way_has_a_way_to_go_wrong_or_to_end(phase: Phase, wanted: Wanted) -> None:
    assert follows(a_session(phase=phase, wanted=wanted))


@given(sessions)
def test_a_step_begins_only_where_nothing_is_under_way_or_to_stop_a_transfer(session: Session) -> None:
    step = next_step(session, admitted=True)
    if step is Step.REMOVE:
        assert session.phase is Phase.ACTIVE
        assert session.wanted is not Wanted.RUN
    elif step is not None:
        assert session.phase is Phase.WAITING


@given(sessions)
def test_nothing_is_given_to_aria2_without_a_lane_or_unless_it_is_admitted_and_wanted(session: Session) -> None:
    assert next_step(session, admitted=False) is not Step.ADD
    if next_step(session, admitted=True) is Step.ADD:
        assert session.wanted is Wanted.RUN
        assert session.lane


@given(st.data(), st.lists(wanteds, min_size=1, max_size=8), wanteds)
def test_a_session_never_dead_locks_however_wishes_and_signals_fall(
    data: st.DataObject, wishes: list[Wanted], last: Wanted
) -> None:
    session = a_session()
    for wanted in (*wishes, last):
        session = replace(session, wanted=wanted)
        for _ in range(data.draw(st.integers(0, 4))):
            if choices := follows(session, admitted=data.draw(st.booleans())):
                session = data.draw(st.sampled_from(choices))
    # Now the wish stays and whatever is under way goes on, succeeds or fails: it must come to rest.
    for _ in range(12):
        step = next_step(session, admitted=True)
        if choices := [one for one in follows(session) if step or one.phase is not session.phase]:
            # A transfer that vanishes for ever starts for ever: that is no dead-lock, so let it end.
            ending = [one for one in choices if one.phase is not Phase.WAITING]
            session = data.draw(st.sampled_from(ending if last is Wanted.RUN and ending else choices))
    rests_paused = session.phase is Phase.WAITING and session.said_paused and last is Wanted.PAUSE
    assert session.phase is Phase.OVER or rests_paused


@given(sessions.filter(lambda one: one.phase is Phase.WAITING))
def test_a_session_at_rest_only_waits_for_admission_or_is_paused(session: Session) -> None:
    if next_step(session, admitted=True) is None:
        assert session.wanted is Wanted.PAUSE
        assert session.said_paused


@given(sessions, st.sampled_from(Desired))
def test_a_session_whose_row_is_gone_is_not_wished_back(session: Session, desired: Desired) -> None:
    row = an_assigned_row(desired=desired)
    kept = rewished(replace(session, wanted=Wanted.DROP), row, 9)
    assert kept.wanted is Wanted.DROP


@given(sessions.filter(lambda one: one.wanted is not Wanted.DROP), st.sampled_from(Desired))
def test_a_newer_row_changes_the_wish_and_not_the_phase(session: Session, desired: Desired) -> None:
    row = an_assigned_row(desired=desired)
    changed = rewished(session, row, 9)
    assert (changed.wanted, changed.phase, changed.sequence) == (wanted_of(row), session.phase, 9)


@pytest.mark.parametrize("code", sorted(UNLESS_BEGUN))
@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, Wanted.GIVE_BACK),
        ({"phase": Phase.ACTIVE}, Wanted.GIVE_BACK),
        ({"phase": Phase.ACTIVE, "started_at": 1.0}, Wanted.RUN),
        ({"phase": Phase.VERIFYING}, Wanted.RUN),
    ],
)
def test_what_is_asked_back_lest_it_begin_goes_on_if_it_has(code: str, fields: dict[str, Any], wanted: Wanted) -> None:
    row = an_assigned_row(desired=Desired.RELEASE, code=code)
    assert rewished(a_session(**fields), row, 9).wanted is wanted
    assert rewished(a_session(**fields), replace(row, code=""), 9).wanted is Wanted.GIVE_BACK


def test_what_has_begun_and_is_paused_on_its_way_back_is_paused_here() -> None:
    row = an_assigned_row(desired=Desired.RELEASE, then=Desired.PAUSE, code=SLOT_FREE)
    assert rewished(a_session(phase=Phase.ACTIVE, started_at=1.0), row, 9).wanted is Wanted.PAUSE
    assert rewished(a_session(), row, 9).wanted is Wanted.GIVE_BACK


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"phase": Phase.WAITING}, "waiting"),
        ({"phase": Phase.WAITING, "started_at": 1.0}, "interrupted"),
        ({"phase": Phase.WAITING, "started_at": 1.0, "said_paused": True}, "paused"),
        ({"phase": Phase.ACTIVE}, "waiting"),
        ({"phase": Phase.ACTIVE, "started_at": 1.0}, "active"),
        ({"phase": Phase.ACTIVE, "started_at": 1.0, "is_seeding": True}, "seeding"),
    ],
)
def test_only_what_never_ran_here_is_said_to_wait(fields: dict[str, Any], expected: str) -> None:
    assert shown(a_session(**fields)) == expected


@pytest.mark.parametrize("step", Step)
def test_every_step_leads_somewhere(step: Step) -> None:
    assert begun(a_session(), step).phase is BEGINS[step]


def test_a_pause_is_said_once_and_again_after_the_download_ran() -> None:
    paused = begun(a_session(lane="small", wanted=Wanted.PAUSE), Step.SAY_PAUSED)
    assert next_step(paused, admitted=True) is None
    ran = begun(replace(paused, wanted=Wanted.RUN), Step.ADD)
    stopped = replace(ran, phase=Phase.WAITING, wanted=Wanted.PAUSE)
    assert next_step(stopped, admitted=True) is Step.SAY_PAUSED


@pytest.mark.parametrize("signal", [Signal.WHOLE, Signal.FAILED, Signal.VANISHED])
@pytest.mark.parametrize("phase", [Phase.ACTIVE, Phase.REMOVING])
def test_a_transfer_may_end_in_any_way_also_while_it_is_being_stopped(phase: Phase, signal: Signal) -> None:
    assert after(a_session(phase=phase), signal).phase is not phase


@pytest.mark.parametrize("phase", [Phase.PROBING, Phase.ADDING, Phase.ACTIVE, Phase.REMOVING, Phase.VERIFYING])
def test_whatever_is_under_way_may_fail_and_is_reported_unless_it_was_being_stopped(phase: Phase) -> None:
    expected = Phase.WAITING if phase is Phase.REMOVING else Phase.REPORTING
    assert after(a_session(phase=phase), Signal.FAILED).phase is expected


def test_what_was_stopped_waits_for_the_next_wish_unless_it_was_whole_first() -> None:
    stopped = a_session(phase=Phase.REMOVING)
    assert after(stopped, Signal.VANISHED).phase is Phase.WAITING
    assert after(stopped, Signal.WHOLE).phase is Phase.VERIFYING


@pytest.mark.parametrize(("wanted", "step"), [(Wanted.RUN, Step.ADD), (Wanted.PAUSE, Step.SAY_PAUSED)])
def test_after_a_whole_part_the_next_one_begins_afresh_or_the_session_rests(wanted: Wanted, step: Step) -> None:
    part = a_session(phase=Phase.VERIFYING, lane="small", wanted=wanted, cuts=2, cut_at=7)
    waiting = after(part, Signal.PART)
    assert (waiting.phase, waiting.cuts, waiting.cut_at) == (Phase.WAITING, 0, 0)
    assert next_step(waiting, admitted=True) is step
