"""Who cools down, and for how long: bounded, never beyond what was asked, and of the task's own origins only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator import moves
from coordinator.cooling import asked_for
from coordinator.handover import COOLING_MAX, still, succeeded
from coordinator.moves import Requeue
from coordinator.recalls import Recalls
from coordinator.retries import MOVES_MAX, RETRY_AFTER_MAX_S
from coordinator.wants import origins_of
from schemas.lifecycle import Desired, State
from schemas.placing import Entry, PlacingRecord
from schemas.task import UNLESS_BEGUN, TaskRow
from tests.examples import a_failure, a_request, a_row, an_assigned_row

hosts = st.sampled_from(["a.example", "b.example", "c.example"])
moments = st.floats(0, 2e9)
uris = st.lists(hosts.map(lambda host: f"http://{host}/f"), min_size=1, max_size=3).map(tuple)


@given(uris, hosts | st.just(""), st.floats(allow_nan=False), moments)
def test_a_cool_down_is_bounded_and_of_the_tasks_own_origins(
    addresses: tuple[str, ...], named: str, asked_s: float, stored_at: float
) -> None:
    row = an_assigned_row(request=a_request(uris=addresses))
    origin = f"{named}:80" if named else ""
    cooling = asked_for(a_failure(code="http-429", retry_after_s=asked_s, origin=origin), row, stored_at)
    if cooling is not None:
        assert cooling.origins
        assert cooling.origins <= set(origins_of(a_request(uris=addresses)))
        assert stored_at <= cooling.until <= stored_at + RETRY_AFTER_MAX_S
        if origin in origins_of(a_request(uris=addresses)):
            assert cooling.origins == {origin}
    else:
        assert asked_s == 0


@given(st.dictionaries(st.integers(0, 3000).map(str), st.floats(0, 100), max_size=50), st.floats(0, 100))
def test_what_is_over_is_forgotten(cooling: dict[str, float], now: float) -> None:
    assert still(cooling, now) == {origin: until for origin, until in cooling.items() if until > now}


def test_of_too_many_the_longest_are_remembered() -> None:
    many = {f"h{number}.example:80": float(number) for number in range(COOLING_MAX + 10)}
    kept = still(many, -1.0)
    assert len(kept) == COOLING_MAX
    assert min(kept.values()) == 10


entries = st.lists(st.builds(Entry, st.text("ab", min_size=1), st.integers(1, 9)), max_size=5).map(tuple)


@given(st.integers(0, 9), st.integers(0, 9), entries)
def test_a_record_is_taken_over_by_later_terms_only_and_with_all_that_is_unsettled(
    wrote: int, takes: int, unsettled: tuple[Entry, ...]
) -> None:
    record = PlacingRecord(epoch=wrote, term="theirs", unsettled=unsettled)
    taken = succeeded(record, takes, "ours", 0.0)
    if takes < wrote:
        assert taken is None
    else:
        assert taken == PlacingRecord(epoch=takes, term="ours", unsettled=unsettled)


@given(st.integers(0, 500), st.sampled_from(Desired), st.sampled_from(sorted(UNLESS_BEGUN)))
def test_being_asked_back_lest_it_begin_is_no_move_and_nothing_to_remember(
    times: int, desired: Desired, code: str
) -> None:
    row: TaskRow = an_assigned_row(desired=desired)
    change = moves.asked_back(row, code)
    assert (change is None) == (desired is not Desired.RUN)
    if change is None:
        return
    row = change
    for _ in range(min(times, 3 * MOVES_MAX)):
        back = moves.came_back(row)
        assert isinstance(back, Requeue)
        assert (back.row.state, back.row.desired, back.row.delay_s) == (State.QUEUED, Desired.RUN, 0.0)
        assert back.row.attempt == row.attempt + 1
        assert (moves.moved(back.row), back.row.history, back.counted) == (0, (), False)
        again = moves.asked_back(moves.placed(back.row, "node-b", "i"), code)
        assert again is not None
        row = again


@pytest.mark.parametrize("code", sorted(UNLESS_BEGUN))
def test_one_that_had_begun_is_told_to_go_on(code: str) -> None:
    asked = moves.asked_back(an_assigned_row(), code)
    assert asked is not None
    assert moves.goes_on(asked) == an_assigned_row()
    paused = moves.wished(asked, Desired.PAUSE)
    assert isinstance(paused, TaskRow)
    assert moves.goes_on(paused) == an_assigned_row(desired=Desired.PAUSE), "somebody paused it meanwhile"
    assert moves.goes_on(an_assigned_row(desired=Desired.RELEASE)) is None, "asked for another reason"
    assert moves.asked_back(a_row()) is None, "at no node"


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from("abc"))))
def test_lately_is_what_was_placed_within_the_look(placed: list[tuple[float, str]]) -> None:
    recalls = Recalls(6.0)
    for at, task in sorted(placed):
        recalls.placed([task], at)
    assert list(recalls.lately(20.0)) == [task for at, task in sorted(placed) if at >= 14.0]


def test_an_origin_is_looked_after_for_a_while_after_it_was_last_named() -> None:
    recalls = Recalls(6.0)
    recalls.cool("a", 0.0)
    recalls.cool("b", 3.0)
    assert [sorted(recalls.origins(now)) for now in (5.0, 7.0, 9.5)] == [["a", "b"], ["b"], []]
