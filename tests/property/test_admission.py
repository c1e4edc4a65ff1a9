"""Admission, step by step through any run of a node: never too many, and nobody waits for ever."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from node.admission import Admission, admit
from node.daemon import Lane
from node.session import Phase, Session, Wanted
from tests.examples import a_session

lanes = st.sampled_from([str(lane) for lane in Lane])
HOLDING = (Phase.ADDING, Phase.ACTIVE, Phase.REMOVING)


class Running(RuleBasedStateMachine):
    """Sessions come, begin when admitted, run for a while and go."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = self.prefetch = 1
        self.sessions: dict[str, Session] = {}
        self.came = 0

    @initialize(slots=st.integers(1, 4), prefetch=st.integers(1, 2))
    def the_node_starts(self, slots: int, prefetch: int) -> None:
        self.slots, self.prefetch = slots, prefetch

    def admission(self) -> Admission:
        return admit(self.sessions.values(), self.slots, self.prefetch)

    def held(self, lane: str) -> int:
        return sum(one.holds_slot and one.lane == lane for one in self.sessions.values())

    def change(self, data: st.DataObject, among: list[Session], **fields: object) -> None:
        if among:
            one = data.draw(st.sampled_from(among))
            self.sessions[one.task] = replace(one, **fields)

    @rule(lane=lanes, priority=st.integers(-1, 1), wanted=st.sampled_from([Wanted.RUN, Wanted.RUN, Wanted.PAUSE]))
    def one_is_probed(self, lane: str, priority: int, wanted: Wanted) -> None:
        self.came += 1
        one = a_session(self.came, priority=priority, lane=lane, wanted=wanted)
        self.sessions[one.task] = one

    @rule()
    def all_that_may_begin(self) -> None:
        running = {task for task, one in self.sessions.items() if one.holds_slot}
        admitted = self.admission().tasks
        assert not admitted & running, "what has begun is not admitted twice"
        for task in admitted:
            self.sessions[task] = replace(self.sessions[task], phase=Phase.ADDING)
        assert running <= {task for task, one in self.sessions.items() if one.holds_slot}

    @rule(data=st.data(), then=st.sampled_from([Phase.VERIFYING, Phase.REPORTING, Phase.WAITING]))
    def one_leaves_aria2(self, data: st.DataObject, then: Phase) -> None:
        self.change(data, [one for one in self.sessions.values() if one.holds_slot], phase=then)

    @rule(data=st.data())
    def one_is_over(self, data: st.DataObject) -> None:
        if over := [task for task, one in self.sessions.items() if one.phase is Phase.REPORTING]:
            del self.sessions[data.draw(st.sampled_from(over))]

    @rule(data=st.data(), wanted=st.sampled_from(Wanted))
    def one_is_wished_otherwise(self, data: st.DataObject, wanted: Wanted) -> None:
        self.change(data, list(self.sessions.values()), wanted=wanted)

    @invariant()
    def never_more_run_than_there_are_slots(self) -> None:
        small = min(self.held(Lane.SMALL), self.admission().small_slots)
        assert self.held(Lane.LARGE) + small <= self.slots

    @invariant()
    def aria2_never_holds_more_than_slots_and_prefetch(self) -> None:
        assert self.held(Lane.LARGE) + self.held(Lane.SMALL) <= self.slots + self.prefetch

    @invariant()
    def only_what_waits_and_is_wanted_is_admitted(self) -> None:
        for task in self.admission().tasks:
            one = self.sessions[task]
            assert (one.phase, one.wanted) == (Phase.WAITING, Wanted.RUN)

    @invariant()
    def who_is_admitted_came_before_who_is_not(self) -> None:
        queue = sorted(
            (one for one in self.sessions.values() if one.phase is Phase.WAITING and one.wanted is Wanted.RUN),
            key=lambda one: (-one.row.request.priority if one.row.request else 0, one.sequence),
        )
        admitted = self.admission().tasks
        assert {one.task for one in queue[: len(admitted)]} == admitted

    @invariant()
    def an_idle_node_admits_somebody(self) -> None:
        waiting = any(one.phase is Phase.WAITING and one.wanted is Wanted.RUN for one in self.sessions.values())
        if waiting and not any(one.holds_slot for one in self.sessions.values()):
            assert self.admission().tasks


TestANodeAdmitsFairly = Running.TestCase


@given(st.integers(1, 8), st.integers(1, 3), lanes)
def test_nobody_is_starved_by_those_who_came_later(slots: int, prefetch: int, lane: str) -> None:
    running = [a_session(n, lane=Lane.SMALL, phase=Phase.ACTIVE) for n in range(1, slots + prefetch + 1)]
    first = a_session(100, lane=lane)
    later = [a_session(n, lane=Lane.SMALL) for n in range(101, 130)]
    for ended in range(len(running) + 1):
        admitted = admit([*running[ended:], *later, first], slots, prefetch).tasks
        if first.task in admitted:
            return
        assert not admitted, "somebody overtook it"
    raise AssertionError("it was never admitted")


@given(st.integers(1, 8), st.sampled_from([Phase.VERIFYING, Phase.REPORTING]), lanes, lanes)
def test_what_aria2_has_done_with_takes_no_slot(slots: int, phase: Phase, done_lane: str, lane: str) -> None:
    done = [a_session(n, lane=done_lane, phase=phase) for n in range(1, 3 * slots)]
    waiting = [a_session(100 + n, lane=lane) for n in range(slots)]
    assert admit([*done, *waiting], slots, 1).tasks == {one.task for one in waiting}


@given(st.sampled_from(HOLDING), st.sampled_from(Wanted))
def test_what_has_begun_keeps_its_slot_until_aria2_has_let_go_of_it(phase: Phase, wanted: Wanted) -> None:
    running = a_session(1, lane=Lane.LARGE, phase=phase, wanted=wanted)
    assert not admit([running, a_session(2, lane=Lane.LARGE, priority=10)], 1, 1).tasks


@given(st.sampled_from(Phase))
def test_nothing_is_admitted_before_it_has_a_lane(phase: Phase) -> None:
    assert not admit([a_session(1, phase=phase)], 4, 1).tasks


@given(st.integers(0, 8), st.integers(1, 8), lanes, lanes)
def test_with_no_more_slots_than_run_none_begins_however_many_run(
    slots: int, more: int, running_lane: str, lane: str
) -> None:
    """Slots may be taken away while downloads run, and a node that is drained begins nothing."""
    running = [a_session(n, lane=running_lane, phase=Phase.ACTIVE) for n in range(1, slots + more)]
    waiting = [a_session(100 + n, lane=lane, priority=10) for n in range(3)]
    assert len(running) >= slots
    assert not admit([*running, *waiting], slots, 0).tasks
