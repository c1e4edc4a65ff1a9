"""What `show` and `ls` say of a task's tries, and of what was asked for."""

from datetime import timedelta
from typing import Any

import pytest

from schemas.event import AttemptFailed
from schemas.lifecycle import State
from schemas.request import Resources
from schemas.task import AttemptRecord, FailureClass
from schemas.view import TaskView, asks_for
from tests.examples import NOON, TASK
from tools.looking import due_in, tries
from tools.showing import _attempt

MOVED = AttemptRecord(1, "attic", "attic is being drained: new disks")
FAILED = AttemptRecord(2, "cellar", "gone", FailureClass.TRANSIENT)
OVER = {"state": State.FAILED, "failures": 1, "history": (MOVED, FAILED)}


def a_view(**fields: Any) -> TaskView:
    return TaskView(**{"task": TASK, "owner": "ann", "state": State.QUEUED} | fields)


@pytest.mark.parametrize(
    ("fields", "shown", "number"),
    [
        ({}, "1", 1),
        ({"attempt": 2}, "2 (moved once)", 1),
        ({"attempt": 3, "failures": 1}, "3 (1 failed, moved once)", 2),
        ({"attempt": 4, "failures": 1}, "4 (1 failed, moved 2 times)", 2),
        (
            {"state": State.FAILED, "attempt": 2, "failures": 1, "history": (MOVED, FAILED)},
            "2 (1 failed, moved once)",
            1,
        ),
        (
            {"state": State.FAILED, "attempt": 3, "failures": 1, "history": (MOVED, FAILED)},
            "3 (1 failed, moved once)",
            2,
        ),
    ],
)
def test_what_was_moved_at_no_fault_of_its_own_is_still_the_same_try(
    fields: dict[str, Any], shown: str, number: int
) -> None:
    view = a_view(**fields)
    assert (_attempt(view, ()), tries(view)) == (shown, number)


def test_the_log_tells_of_what_a_completed_task_went_through() -> None:
    fact = AttemptFailed(
        task=TASK, owner="ann", time=NOON, attempt=1, node="attic", failure=FailureClass.TRANSIENT, reason="gone"
    )
    assert _attempt(a_view(state=State.COMPLETED, attempt=3), (fact,)) == "3 (1 failed, moved once)"


def test_what_was_asked_for_is_told_again() -> None:
    view = a_view(
        tags=("gpu",),
        avoid_tags=("metered",),
        prefer_tags=("zone=eu",),
        resources=Resources(disk=10 << 30, bandwidth=20 << 20),
        not_before=NOON,
        deadline=NOON + timedelta(hours=2),
    )
    assert asks_for(view) == [
        "tag gpu",
        "not metered",
        "rather zone=eu",
        "10 GiB of disk",
        "20 MiB/s of bandwidth",
        "start from 2031-05-01 12:00 UTC",
        "end by 2031-05-01 14:00 UTC",
    ]
    assert asks_for(a_view()) == []


def test_what_is_due_in_years_is_told_as_a_date() -> None:
    assert due_in(45, NOON) == "in 45s"
    assert due_in(3 * 86_400, NOON) == f"on {(NOON + timedelta(days=3)).astimezone():%Y-%m-%d}"
