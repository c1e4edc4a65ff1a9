"""What a task's row becomes, by example."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from coordinator import moves
from coordinator.moves import MOVED_TOO_OFTEN, End, Requeue
from coordinator.retries import MOVES_MAX
from schemas import codec
from schemas.errors import IllegalTransition
from schemas.ids import QUEUED
from schemas.lifecycle import Desired, Outcome, State
from schemas.request import URIS_MAX, Request
from schemas.settings import CoordinatorSettings
from schemas.task import HISTORY_MAX, FailureClass, Mirror, TaskRow
from tests.examples import NOON, TASK, a_failure, a_request, a_row, an_assigned_row

SETTINGS = CoordinatorSettings(max_attempts=3, retry_base_s=2.0, retry_cap_s=60.0)


def claimed(request: Request) -> TaskRow:
    return moves.claimed(task=TASK, owner="ada", source="id:a", request=request, submitted=NOON)


def test_a_claimed_task_is_queued_for_its_first_attempt() -> None:
    row = claimed(a_request())
    assert (row.state, row.place, row.attempt, row.delay_s) == (State.QUEUED, QUEUED, 1, 0.0)


def test_not_before_becomes_a_delay_from_the_moment_it_was_stored() -> None:
    assert claimed(a_request(not_before=NOON + timedelta(hours=1))).delay_s == 3600.0


def test_not_before_in_the_past_is_no_delay() -> None:
    assert claimed(a_request(not_before=NOON - timedelta(hours=1))).delay_s == 0.0


def test_a_task_that_is_to_begin_paused_is_queued_with_that_wish_and_goes_on_once_resumed() -> None:
    row = claimed(a_request(paused=True))
    assert (row.state, row.desired, row.delay_s) == (State.QUEUED, Desired.PAUSE, 0.0)
    resumed = moves.wished(row, Desired.RUN)
    assert isinstance(resumed, TaskRow)
    assert resumed.desired is Desired.RUN


def test_a_refused_request_is_ending_before_it_began() -> None:
    row = moves.refused(task=TASK, owner="ada", source="id:a", where="uris", reason="uris: none", submitted=NOON)
    assert (row.state, row.outcome, row.request) == (State.ENDING, Outcome.REJECTED, None)
    assert (row.code, row.reason) == ("uris", "uris: none")


def test_a_placed_task_stands_at_its_node_and_forgets_why_it_waited() -> None:
    row = moves.placed(a_row(attempt=2, delay_s=4.0, reason="lost", code="x"), "node-b", "i9")
    assert (row.state, row.place, row.instance, row.attempt) == (State.ASSIGNED, "node-b", "i9", 2)
    assert (row.delay_s, row.reason, row.code) == (0.0, "", "")


def test_a_placed_task_cannot_be_placed_again() -> None:
    with pytest.raises(IllegalTransition, match="a task that is assigned can't place"):
        moves.placed(an_assigned_row(), "node-b", "i9")


def test_a_lost_node_does_not_use_up_an_attempt() -> None:
    change = moves.given_back(an_assigned_row(failures=1), "node-a is lost")
    assert isinstance(change, Requeue)
    assert (change.counted, change.row.failures, change.row.attempt) == (False, 1, 2)
    assert (change.row.place, change.row.instance, change.row.reason) == (QUEUED, "", "node-a is lost")


def test_a_released_task_is_to_run_again_and_a_paused_one_stays_paused() -> None:
    released = moves.given_back(an_assigned_row(desired=Desired.RELEASE), "moved")
    paused = moves.given_back(an_assigned_row(desired=Desired.PAUSE), "node-a is lost")
    assert (released.row.desired, paused.row.desired) == (Desired.RUN, Desired.PAUSE)


def test_a_task_without_a_node_cannot_be_given_back() -> None:
    with pytest.raises(IllegalTransition, match="a task that is queued can't requeue"):
        moves.given_back(a_row(), "lost")


def test_a_failed_attempt_waits_twice_as_long_each_time() -> None:
    delays = []
    for failures in range(2):
        fact = a_failure(code="aria2-6")
        change = moves.attempt_failed(an_assigned_row(failures=failures), fact, SETTINGS, dice=1.0)
        delays.append(change.row.delay_s)
    assert delays == [2.0, 4.0]


def test_a_failed_attempt_says_where_it_failed_and_why() -> None:
    change = moves.attempt_failed(an_assigned_row(), a_failure(), SETTINGS, dice=0.0)
    assert isinstance(change, Requeue)
    assert (change.counted, change.row.failures, change.row.avoid) == (True, 1, ("node-a",))
    assert (change.row.reason, change.row.code) == ("the origin is overloaded", "http-503")
    [record] = change.row.history
    assert (record.attempt, record.node, record.failure) == (1, "node-a", FailureClass.TRANSIENT)


def test_retry_after_is_waited_for_though_the_dice_say_now() -> None:
    change = moves.attempt_failed(an_assigned_row(), a_failure(retry_after_s=120.0), SETTINGS, dice=0.0)
    assert change.row.delay_s == 120.0


def test_the_last_attempt_ends_the_task_and_says_how_many_there_were() -> None:
    change = moves.attempt_failed(an_assigned_row(failures=2, attempt=5), a_failure(), SETTINGS, dice=1.0)
    assert isinstance(change, End)
    assert (change.row.state, change.row.outcome) == (State.ENDING, Outcome.FAILED)
    assert change.row.reason == "the origin is overloaded (attempt 3 of 3)"


def test_a_request_may_ask_for_fewer_attempts_than_the_cluster_gives() -> None:
    row = an_assigned_row(request=a_request(max_attempts=1))
    assert isinstance(moves.attempt_failed(row, a_failure(), SETTINGS, dice=1.0), End)


def test_a_damaged_partial_is_tried_again_at_once() -> None:
    change = moves.attempt_failed(an_assigned_row(), a_failure(FailureClass.DAMAGED), SETTINGS, dice=1.0)
    assert isinstance(change, Requeue)
    assert change.row.delay_s == 0.0


def test_a_queued_task_is_cancelled_at_once_and_a_running_one_when_its_node_lets_go() -> None:
    at_once = moves.wished(a_row(), Desired.CANCEL)
    assert isinstance(at_once, End)
    assert at_once.row.outcome is Outcome.CANCELLED
    later = moves.wished(an_assigned_row(), Desired.CANCEL)
    assert isinstance(later, TaskRow)
    assert isinstance(moves.given_back(later, "released"), End)


def test_a_release_is_asked_of_a_node_only() -> None:
    assert moves.wished(a_row(), Desired.RELEASE) is None
    asked = moves.wished(an_assigned_row(), Desired.RELEASE)
    assert isinstance(asked, TaskRow)
    assert asked.desired is Desired.RELEASE


def test_a_paused_task_moves_paused() -> None:
    asked = moves.wished(an_assigned_row(desired=Desired.PAUSE), Desired.RELEASE)
    assert isinstance(asked, TaskRow)
    assert (asked.desired, asked.then) == (Desired.RELEASE, Desired.PAUSE)
    moved = moves.given_back(asked, "node-a was asked to release")
    assert (moved.row.state, moved.row.desired, moved.row.then) == (State.QUEUED, Desired.PAUSE, Desired.RUN)


def test_one_that_is_resumed_on_its_way_goes_on_elsewhere() -> None:
    paused = an_assigned_row(desired=Desired.RELEASE, then=Desired.PAUSE)
    resumed = moves.wished(paused, Desired.RUN)
    assert isinstance(resumed, TaskRow)
    assert (resumed.desired, resumed.then) == (Desired.RELEASE, Desired.RUN)
    assert moves.given_back(resumed, "node-a was asked to release").row.desired is Desired.RUN


def test_a_wish_that_is_the_present_one_changes_nothing() -> None:
    assert moves.wished(an_assigned_row(), Desired.RUN) is None


def test_a_pause_does_not_make_a_delay_begin_again() -> None:
    paused = moves.wished(a_row(delay_s=60.0), Desired.PAUSE, waited_s=20.0)
    assert isinstance(paused, TaskRow)
    resumed = moves.wished(paused, Desired.RUN, waited_s=50.0)
    assert isinstance(resumed, TaskRow)
    assert (paused.delay_s, resumed.delay_s) == (40.0, 0.0)


def test_a_task_that_failed_tells_what_its_mirrors_did_in_the_last_attempt_within_bounds() -> None:
    told = tuple(Mirror(f"http://{number}.example/{'x' * 9000}", None, "y" * 9000) for number in range(URIS_MAX + 1))
    row = an_assigned_row(request=a_request(max_attempts=1))
    end = moves.attempt_failed(row, replace(a_failure(), mirrors=told), CoordinatorSettings(), 0.5)
    assert isinstance(end, End)
    assert [one.uri[:16] for one in end.row.mirrors[:2]] == ["http://0.example", "http://1.example"]
    assert len(codec.encode(end.row.mirrors)) < 80_000
    again = moves.attempt_failed(an_assigned_row(), replace(a_failure(), mirrors=told), CoordinatorSettings(), 0.5)
    assert isinstance(again, Requeue)
    assert again.row.mirrors == ()


def test_an_overdue_task_is_called_back_from_its_node_and_then_fails() -> None:
    called_back = moves.overdue(an_assigned_row())
    assert isinstance(called_back, TaskRow)
    change = moves.given_back(called_back, "released")
    assert isinstance(change, End)
    assert (change.row.outcome, change.row.reason) == (Outcome.FAILED, "the deadline has passed")


def test_retry_of_a_waiting_task_lets_it_go_at_once() -> None:
    due = moves.due_at_once(a_row(delay_s=60.0))
    assert due is not None
    assert due.delay_s == 0.0
    assert moves.due_at_once(a_row()) is None
    assert moves.due_at_once(an_assigned_row()) is None


def test_a_size_that_a_node_came_to_know_stays_with_the_task() -> None:
    back = moves.given_back(an_assigned_row(), "its disk has no room", size=700)
    assert isinstance(back, Requeue)
    assert back.row.size == 700
    lost = moves.given_back(moves.placed(back.row, "node-b", "i2"), "node-b was lost")
    assert isinstance(lost, Requeue)
    assert lost.row.size == 700, "who does not know it forgets nothing"
    failed = moves.attempt_failed(an_assigned_row(size=700), a_failure(FailureClass.NODE, size=900), SETTINGS, 0.5)
    assert isinstance(failed, Requeue)
    assert failed.row.size == 900


def test_a_task_that_every_node_is_lost_with_does_not_go_round_for_ever() -> None:
    row = an_assigned_row()
    delays = []
    while isinstance(change := moves.lost(row, SETTINGS, dice=1.0), Requeue):
        delays.append(change.row.delay_s)
        row = moves.placed(change.row, "node-a", "i1")
    assert delays[:6] == [0.0, 0.0, 0.0, 2.0, 4.0, 8.0]
    assert max(delays) == SETTINGS.retry_cap_s
    assert len(delays) == MOVES_MAX - 1
    assert (change.row.outcome, change.row.code, change.row.failures) == (Outcome.FAILED, MOVED_TOO_OFTEN, 0)
    assert change.row.history[-1].attempt == MOVES_MAX
    assert moves.cut(change.row) == MOVES_MAX - HISTORY_MAX


def test_what_a_node_says_cannot_make_a_row_too_large_to_be_written() -> None:
    row = an_assigned_row(request=a_request(max_attempts=100))
    settings = replace(SETTINGS, max_attempts=100)
    for _ in range(HISTORY_MAX):
        fact = a_failure(reason="x" * 900_000, code="y" * 100_000, attempt=row.attempt)
        row = moves.placed(moves.attempt_failed(row, fact, settings, dice=0.0).row, "node-a", "i1")
    given_back = moves.given_back(row, "z" * 900_000).row
    assert len(codec.encode(given_back)) < 20_000


def test_a_deadline_that_ends_a_running_task_is_in_its_history() -> None:
    called_back = moves.overdue(an_assigned_row(attempt=3))
    assert isinstance(called_back, TaskRow)
    [record] = moves.given_back(called_back, "released").row.history
    assert (record.attempt, record.node, record.reason) == (3, "node-a", "the deadline has passed")


def test_a_task_of_a_drained_node_leaves_with_the_operators_reason() -> None:
    row = moves.placed(a_row(), "node-a", "i1")
    asked = moves.emptied(row, "new disks")
    assert asked is not None
    assert (asked.desired, asked.reason) == (Desired.RELEASE, "node-a is being drained: new disks")
    assert moves.emptied(asked, "new disks") is None
    plain = moves.emptied(row, "")
    assert plain is not None
    assert plain.reason == "node-a is being drained"
