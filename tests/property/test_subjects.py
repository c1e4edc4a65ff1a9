"""Subjects: what is built can be read back, and nothing else can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import subjects as s
from schemas.event import KINDS
from schemas.ids import DEFAULT_OWNER, QUEUED
from tests.property.strategies import node_ids, owners, task_ids

places = node_ids | st.just(QUEUED)
kinds = st.sampled_from(KINDS)


def as_stored(written: str) -> str:
    """The public name under which the streams store what is written."""
    return written.replace(".write.", ".", 1)


def matches(pattern: str, subject: str) -> bool:
    wanted, found = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, found = wanted[:-1], found[: len(wanted) - 1]
    return len(wanted) == len(found) and all(w in ("*", f) for w, f in zip(wanted, found, strict=True))


@given(places, task_ids)
def test_a_task_subject_can_be_read_back(place: str, task: str) -> None:
    assert s.parse_task(s.task(place, task)) == (place, task)


@given(places, task_ids)
def test_a_row_is_stored_under_the_name_that_its_check_names(place: str, task: str) -> None:
    stored = as_stored(s.task_write(place, task))
    assert stored == s.task(place, task)
    assert matches(s.task_anywhere(task), stored)
    assert matches(s.node_tasks(place), stored)


@given(task_ids, kinds, node_ids)
def test_an_event_subject_can_be_read_back(task: str, kind: str, writer: str) -> None:
    assert s.parse_event(as_stored(s.event_write(task, kind, writer))) == (task, kind, writer)


@given(task_ids, kinds, node_ids)
def test_the_check_for_an_end_covers_every_outcome_and_nothing_else(task: str, kind: str, writer: str) -> None:
    stored = as_stored(s.event_write(task, kind, writer))
    assert matches(s.outcome_of(task), stored) == kind.startswith("finished.")
    assert matches(s.OUTCOMES_ALL, stored) == kind.startswith("finished.")
    assert matches(s.task_events(task), stored)


@given(task_ids, kinds, node_ids)
def test_facts_are_what_nodes_report_and_the_coordinator_must_act_on(task: str, kind: str, writer: str) -> None:
    stored = as_stored(s.event_write(task, kind, writer))
    is_fact = kind in {"attempt_failed", "released", "finished.completed"}
    assert any(matches(pattern, stored) for pattern in s.FACTS) == is_fact


@given(owners)
def test_an_owner_can_be_read_back(owner: str) -> None:
    assert s.owner_of(s.requests(owner)) == owner


def test_the_bare_subject_speaks_for_the_default_owner() -> None:
    assert s.requests(DEFAULT_OWNER) == s.REQUESTS
    assert s.owner_of(s.REQUESTS) == DEFAULT_OWNER


@given(places, task_ids, node_ids)
def test_no_public_subject_lies_among_those_that_are_written(place: str, task: str, node: str) -> None:
    public = [s.task(place, task), s.own_completion(task, node), s.progress(task, node), s.heartbeat(node)]
    written = [s.TASKS_WRITE_ALL, s.EVENTS_WRITE_ALL]
    assert not any(matches(pattern, subject) for pattern in written for subject in public)


@pytest.mark.parametrize(
    "subject", ["downloads.tasks.a", "downloads.tasks.a.b.c", "downloads.events.a.b", "x.tasks.a.b"]
)
def test_what_is_no_task_subject_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match=r"not a task subject|unpack"):
        s.parse_task(subject)


@pytest.mark.parametrize(
    "subject", ["downloads.events.a", "downloads.events.a.b", "downloads.tasks.a.b.c", "downloads"]
)
def test_what_is_no_event_subject_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match=r"not an event subject|unpack"):
        s.parse_event(subject)
