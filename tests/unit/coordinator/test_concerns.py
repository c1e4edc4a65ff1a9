"""Which facts concern the attempt that stands now; all others change nothing."""

import pytest

from coordinator.follow import concerns
from schemas.event import AttemptFailed, Released
from schemas.lifecycle import Outcome
from schemas.task import StoredRow
from tests.examples import a_failure, a_release, a_row, a_stored, an_assigned_row

STANDING = a_stored(5, an_assigned_row("node-a", attempt=2))


@pytest.mark.parametrize("fact", [a_failure(attempt=2), a_release(attempt=2)])
def test_a_fact_of_the_present_attempt_from_its_node_counts(fact: AttemptFailed | Released) -> None:
    assert concerns(STANDING, fact, "node-a")


@pytest.mark.parametrize("attempt", [1, 3])
def test_a_fact_of_another_attempt_does_not_count(attempt: int) -> None:
    assert not concerns(STANDING, a_failure(attempt=attempt), "node-a")


def test_a_fact_of_a_node_where_the_task_does_not_stand_does_not_count() -> None:
    assert not concerns(STANDING, a_failure(attempt=2, node="node-b"), "node-b")


def test_a_node_cannot_report_for_another() -> None:
    assert not concerns(STANDING, a_failure(attempt=2, node="node-a"), "node-b")
    assert not concerns(STANDING, a_failure(attempt=2, node="node-b"), "node-a")


@pytest.mark.parametrize(
    "top",
    [
        a_stored(5, a_row(attempt=2)),
        a_stored(5, a_row(attempt=2, place="node-a", outcome=Outcome.FAILED)),
    ],
)
def test_nothing_concerns_a_task_that_no_node_holds(top: StoredRow) -> None:
    assert not concerns(top, a_release(attempt=2), "node-a")
