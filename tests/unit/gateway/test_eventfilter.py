"""Which events somebody wants."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.eventfilter import EventFilter, TraitBook, known_kinds
from gateway.problems import ProblemError
from gateway.rest.events import SEQUENCE_MAX, start_asked
from schemas.event import Assigned, Cancelled, Event, Queued
from schemas.lifecycle import State
from schemas.view import TaskView

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)


class Model:
    """Knows one task."""

    is_ready = True

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, task: str) -> TaskView | None:
        self.asked += 1
        return TaskView(task=task, owner="ann", state=State.QUEUED, tags=("eu",)) if task == "known" else None


def an_event(kind: type[Event] = Assigned, **fields: Any) -> Event:
    about: dict[str, Any] = {"task": "t", "owner": "ann", "time": NOON} | (
        {"node": "n", "why": ""} if kind is Assigned else {}
    )
    return kind(**(about | fields))


@pytest.mark.parametrize(
    ("conditions", "event", "is_wanted"),
    [
        ({}, {}, True),
        ({"tasks": {"t"}}, {}, True),
        ({"tasks": {"u"}}, {}, False),
        ({"owners": {"ann", "bob"}}, {}, True),
        ({"owners": {"bob"}}, {}, False),
        ({"owners": set()}, {}, False),
        ({"kinds": {"assigned"}}, {}, True),
        ({"kinds": {"queued"}}, {}, False),
        ({"labels": ("a", "b=1")}, {"labels": {"a": "x", "b": "1"}}, True),
        ({"labels": ("a", "b=2")}, {"labels": {"a": "x", "b": "1"}}, False),
        ({"labels": ("c",)}, {"labels": {"a": "x"}}, False),
        ({"tags": {"eu"}}, {"task": "known"}, True),
        ({"tags": {"eu", "us"}}, {"task": "known"}, False),
        ({"tags": {"eu"}}, {"task": "unknown"}, False),
    ],
)
async def test_an_event_is_wanted_if_all_conditions_hold(
    conditions: dict[str, Any], event: dict[str, Any], is_wanted: bool
) -> None:
    sets: dict[str, Any] = {
        name: frozenset(value) if isinstance(value, set) else value for name, value in conditions.items()
    }
    assert await EventFilter(**sets).wants(an_event(**event), TraitBook(Model())) == is_wanted


async def test_tags_are_learned_from_the_events_that_tell_them() -> None:
    book, wanted = TraitBook(Model()), EventFilter(tags=frozenset(("eu",)), kinds=frozenset(("assigned",)))
    assert not await wanted.wants(an_event(Queued, tags=("eu",)), book), "another kind"
    assert await wanted.wants(an_event(), book)
    ended = EventFilter(tags=frozenset(("eu",)))
    assert await ended.wants(an_event(Cancelled, task="old", tags=("eu",)), TraitBook(Model()))
    assert wanted.read_kinds == frozenset(), "all kinds must be read for that"


async def test_progress_is_wanted_by_what_is_known_of_its_task() -> None:
    model = Model()
    book = TraitBook(model)
    assert await EventFilter(owners=frozenset(("ann",))).wants_progress("known", book)
    assert not await EventFilter(owners=frozenset(("bob",))).wants_progress("known", book)
    assert not await EventFilter(owners=frozenset(("ann",))).wants_progress("unknown", book)
    assert await EventFilter().wants_progress("unknown", book)
    assert model.asked == 2, "what is known is not asked for again"


def test_finished_means_all_outcomes_and_what_is_no_type_is_told() -> None:
    assert len(known_kinds(("finished",))) == 4
    with pytest.raises(ValueError, match="there are queued"):
        known_kinds(("nonsense",))


@pytest.mark.parametrize("said", ["x", "-1", "1.5", "²", str(SEQUENCE_MAX + 1), 5000 * "9"])
def test_a_place_in_the_log_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(ProblemError, match="Last-Event-ID must be the id of an event") as caught:
        start_asked(said, None)
    assert caught.value.status == 400
