"""A row's moves: the attempt is a fence, the counting is fair, and the delay is bounded."""

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from coordinator import moves
from coordinator.moves import End, Requeue
from coordinator.retries import MOVES_MAX, RETRY_AFTER_MAX_S, WIPED, policy_of
from schemas.ids import QUEUED
from schemas.lifecycle import Desired, Outcome, State
from schemas.settings import CoordinatorSettings
from schemas.task import HISTORY_MAX, FailureClass, TaskRow
from tests.examples import a_failure, a_request, a_row, an_assigned_row
from tests.property.strategies import attempts, desires, failures, node_ids, records, seconds

RUNNING = st.sampled_from([Desired.RUN, Desired.PAUSE, Desired.RELEASE])
RETRYABLE = st.sampled_from([FailureClass.TRANSIENT, FailureClass.NODE])
DICE = st.floats(0, 1)
PLENTY = CoordinatorSettings(max_attempts=100)

history = st.lists(records, max_size=HISTORY_MAX).map(tuple)
cluster = st.builds(
    CoordinatorSettings,
    max_attempts=st.integers(1, 100),
    retry_base_s=st.floats(0.01, 60),
    retry_cap_s=st.floats(0.01, 3600),
)
assigned = st.builds(
    an_assigned_row,
    node_ids,
    attempt=attempts,
    failures=st.integers(0, 99),
    desired=desires,
    history=history,
    avoid=st.lists(node_ids, max_size=2, unique=True).map(tuple),
    request=st.builds(a_request, max_attempts=st.none() | st.integers(1, 100)),
)
queued = st.builds(a_row, attempt=attempts, failures=st.integers(0, 99), delay_s=seconds, history=history)


def allowed(row: TaskRow, settings: CoordinatorSettings) -> int:
    return (row.request.max_attempts if row.request else None) or settings.max_attempts


def failed(row: TaskRow, settings: CoordinatorSettings = PLENTY, dice: float = 1.0, **fact: Any) -> Requeue | End:
    about: dict[str, Any] = {"attempt": row.attempt, "node": row.place} | fact
    return moves.attempt_failed(row, a_failure(**about), settings, dice)


@given(assigned, failures, cluster, DICE)
def test_the_attempt_rises_by_one_on_leaving_a_node(
    row: TaskRow, failure: FailureClass, settings: CoordinatorSettings, dice: float
) -> None:
    for change in (moves.given_back(row, "lost"), failed(row, settings, dice, failure=failure)):
        left = isinstance(change, Requeue)
        assert change.row.attempt == row.attempt + left
        assert change.row.place == (QUEUED if left else row.place)


@given(queued, node_ids)
def test_placing_keeps_the_attempt(row: TaskRow, node: str) -> None:
    placed = moves.placed(row, node, "i2")
    assert (placed.attempt, placed.failures, placed.history) == (row.attempt, row.failures, row.history)
    assert (placed.place, placed.instance, placed.state, placed.delay_s) == (node, "i2", State.ASSIGNED, 0.0)


@given(assigned | queued, desires)
def test_a_wish_moves_nothing(row: TaskRow, asked: Desired) -> None:
    change = moves.wished(row, asked)
    after = change.row if isinstance(change, End) else change or row
    assert (after.place, after.attempt, after.failures, after.history) == (
        row.place,
        row.attempt,
        row.failures,
        row.history,
    )


@given(assigned, RUNNING)
def test_a_lost_node_a_release_and_a_drain_do_not_count(row: TaskRow, desired: Desired) -> None:
    assume(moves.moved(row) < MOVES_MAX - 1)
    change = moves.given_back(replace(row, desired=desired), "node-a is leaving")
    assert isinstance(change, Requeue)
    assert not change.counted
    assert change.row.failures == row.failures
    assert change.row.delay_s == 0.0
    assert change.row.avoid == row.avoid


@given(assigned, RETRYABLE, cluster, RUNNING)
def test_the_last_allowed_failure_ends_the_task_and_no_earlier_one_does(
    row: TaskRow, failure: FailureClass, settings: CoordinatorSettings, desired: Desired
) -> None:
    row = replace(row, desired=desired, history=())
    change = failed(row, settings, failure=failure)
    assert isinstance(change, End) == (row.failures + 1 >= allowed(row, settings))
    assert change.row.failures == row.failures + 1
    assert change.row.outcome is (Outcome.FAILED if isinstance(change, End) else None)


@given(assigned, RUNNING, cluster)
def test_a_permanent_failure_ends_at_once(row: TaskRow, desired: Desired, settings: CoordinatorSettings) -> None:
    row = replace(row, desired=desired, failures=0)
    change = failed(row, settings, failure=FailureClass.PERMANENT, reason="gone", code="http-410")
    assert isinstance(change, End)
    assert (change.row.outcome, change.row.reason, change.row.code) == (Outcome.FAILED, "gone", "http-410")


@given(assigned)
def test_what_is_damaged_again_and_again_ends(row: TaskRow) -> None:
    row = replace(row, desired=Desired.RUN, failures=0, history=(), request=a_request())
    tries_max = WIPED.tries_max or 0
    for tries in range(1, tries_max + 1):
        change = failed(row, failure=FailureClass.DAMAGED)
        assert isinstance(change, End) == (tries == tries_max)
        row = replace(change.row, state=State.ASSIGNED, place="node-a")


@given(assigned, RETRYABLE, cluster, DICE)
def test_a_back_off_lies_between_nothing_and_the_cap(
    row: TaskRow, failure: FailureClass, settings: CoordinatorSettings, dice: float
) -> None:
    change = failed(row, settings, dice, failure=failure)
    if isinstance(change, Requeue):
        assert 0 <= change.row.delay_s <= settings.retry_cap_s
        policy = policy_of(failure, "http-503")
        assert change.row.delay_s <= policy.cap_s
        assert change.row.delay_s <= policy.back_off_times * settings.retry_base_s * 2**row.failures


@given(assigned, st.floats(allow_nan=False), failures, cluster, DICE)
def test_an_origin_that_asks_to_wait_is_heeded_up_to_a_limit(
    row: TaskRow, asked_s: float, failure: FailureClass, settings: CoordinatorSettings, dice: float
) -> None:
    change = failed(row, settings, dice, failure=failure, retry_after_s=asked_s)
    if isinstance(change, Requeue):
        assert min(asked_s, RETRY_AFTER_MAX_S) <= change.row.delay_s <= max(RETRY_AFTER_MAX_S, settings.retry_cap_s)
        assert change.row.delay_s >= 0


@given(assigned, st.lists(st.none() | RETRYABLE, max_size=40))
def test_a_history_is_bounded_and_keeps_the_newest(row: TaskRow, ends: list[FailureClass | None]) -> None:
    row = replace(row, attempt=1, desired=Desired.RUN, failures=0, request=a_request())
    for failure in ends:
        change = moves.given_back(row, "lost") if failure is None else failed(row, failure=failure)
        assert len(change.row.history) == min(HISTORY_MAX, len(row.history) + 1)
        newest = change.row.history[-1]
        assert (newest.attempt, newest.node, newest.failure) == (row.attempt, row.place, failure)
        row = replace(change.row, state=State.ASSIGNED, place="node-a")


@given(assigned, failures, DICE)
def test_a_cancel_wins_on_leaving(row: TaskRow, failure: FailureClass, dice: float) -> None:
    row = replace(row, desired=Desired.CANCEL)
    for change in (moves.given_back(row, "lost"), failed(row, dice=dice, failure=failure)):
        assert isinstance(change, End)
        assert change.row.outcome is Outcome.CANCELLED


@given(assigned, failures, DICE)
def test_a_deadline_that_called_a_task_back_makes_it_fail_on_leaving(
    row: TaskRow, failure: FailureClass, dice: float
) -> None:
    assume(row.desired is not Desired.CANCEL)
    called_back = moves.overdue(row)
    assert isinstance(called_back, TaskRow)
    assert called_back.desired is Desired.CANCEL
    for change in (moves.given_back(called_back, "released"), failed(called_back, dice=dice, failure=failure)):
        assert isinstance(change, End)
        assert (change.row.outcome, change.row.code) == (Outcome.FAILED, "deadline")


@given(assigned)
def test_a_cancel_that_came_first_is_not_called_a_deadline(row: TaskRow) -> None:
    assert moves.overdue(replace(row, desired=Desired.CANCEL)) is None


@given(queued)
def test_a_queued_task_fails_at_its_deadline(row: TaskRow) -> None:
    change = moves.overdue(row)
    assert isinstance(change, End)
    assert (change.row.state, change.row.outcome, change.row.code) == (State.ENDING, Outcome.FAILED, "deadline")


@given(assigned, failures, desires)
def test_a_row_that_is_ending_is_not_moved_by_anything(row: TaskRow, failure: FailureClass, asked: Desired) -> None:
    ending = moves.ended(row, Outcome.FAILED, "because").row
    assert moves.wished(ending, asked) is None
    assert moves.overdue(ending) is None
    assert moves.due_at_once(ending) is None


@given(assigned, RETRYABLE)
def test_a_node_that_failed_it_is_avoided_once_named(row: TaskRow, failure: FailureClass) -> None:
    change = failed(replace(row, desired=Desired.RUN, failures=0, request=a_request(), history=()), failure=failure)
    assert change.row.avoid.count(row.place) == 1


@given(assigned | queued, failures, desires, node_ids, DICE, st.integers(1, 1 << 62))
def test_nothing_that_happens_to_a_task_changes_its_place_in_the_queue(
    row: TaskRow, failure: FailureClass, asked: Desired, node: str, dice: float, order: int
) -> None:
    row = replace(row, order=order)
    changes: list[TaskRow | Requeue | End | None]
    if row.state is State.QUEUED:
        changes = [moves.placed(row, node, "i2"), moves.due_at_once(row), moves.wished(row, asked), moves.overdue(row)]
    else:
        changes = [
            failed(row, dice=dice, failure=failure),
            moves.given_back(row, "leaving", delay_s=3.0),
            moves.lost(row, PLENTY, dice),
            moves.wished(row, asked),
        ]
    for change in changes:
        after = change.row if isinstance(change, End | Requeue) else change
        assert after is None or after.order == order


@given(assigned | queued, st.none() | st.integers(-10, 10), st.none() | st.integers(1, 1 << 62), seconds)
def test_another_priority_and_another_order_change_nothing_else(
    row: TaskRow, priority: int | None, order: int | None, waited_s: float
) -> None:
    row = replace(row, order=7)
    after = moves.prioritised(row, priority, order, waited_s=waited_s)
    assert row.request is not None
    meant = priority if priority is not None else row.request.priority
    place = order if order is not None and row.state is State.QUEUED else 7
    assert (after is None) == (meant == row.request.priority and place == 7)
    if after is not None:
        request = replace(row.request, priority=meant)
        assert after == replace(row, request=request, order=place, delay_s=max(0.0, row.delay_s - waited_s))
