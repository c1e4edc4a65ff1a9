"""What goes over the wire comes back, also between versions that do not know all of each other."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.event import KINDS, OUTCOME_EVENTS, Event, decode_event, outcome_of
from schemas.lifecycle import Outcome
from schemas.request import Request
from schemas.task import TaskRow
from tests.examples import a_row
from tests.property.strategies import (
    EVENT_TYPES,
    any_event,
    attempts,
    desires,
    events,
    json_values,
    records,
    requests,
    seconds,
    words,
)

rows = st.builds(
    a_row,
    request=st.none() | requests,
    attempt=attempts,
    desired=desires,
    reason=words,
    delay_s=seconds,
    history=st.lists(records, max_size=3).map(tuple),
)


def with_more(body: bytes, extra: Mapping[str, Any]) -> bytes:
    """The message as a newer version would write it."""
    return json.dumps({f"new_{name}": value for name, value in extra.items()} | json.loads(body)).encode()


@pytest.mark.parametrize("kind", EVENT_TYPES)
@settings(max_examples=20)
@given(data=st.data())
def test_every_type_of_event_comes_back_as_it_was(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(events(kind))
    assert decode_event(codec.encode(event)) == event


def test_every_type_of_event_is_tried_here() -> None:
    assert tuple(kind.__struct_config__.tag for kind in EVENT_TYPES) == KINDS


@given(any_event, st.dictionaries(words, json_values, max_size=3))
def test_fields_that_an_event_does_not_know_are_ignored(event: Event, extra: dict[str, Any]) -> None:
    assert decode_event(with_more(codec.encode(event), extra)) == event


@given(any_event, words.filter(lambda word: word not in KINDS))
def test_types_of_event_that_are_not_known_are_passed_over(event: Event, kind: str) -> None:
    body = json.dumps(json.loads(codec.encode(event)) | {"type": kind}).encode()
    assert decode_event(body) is None


def test_an_event_without_a_type_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="missing required field `type`"):
        decode_event(b"{}")


@given(any_event)
def test_an_outcome_is_told_by_finished_events_and_by_no_others(event: Event) -> None:
    outcome = outcome_of(event)
    assert (outcome is not None) == event.kind.startswith("finished.")
    assert outcome is None or type(event) is OUTCOME_EVENTS[outcome]


def test_every_outcome_has_its_event() -> None:
    assert set(OUTCOME_EVENTS) == set(Outcome)


@given(rows, st.dictionaries(words, json_values, max_size=3))
def test_a_row_comes_back_and_ignores_what_it_does_not_know(row: TaskRow, extra: dict[str, Any]) -> None:
    assert codec.decode(codec.encode(row), TaskRow) == row
    assert codec.decode(with_more(codec.encode(row), extra), TaskRow) == row


@given(requests, st.dictionaries(words, json_values, max_size=3))
def test_a_request_comes_back_and_ignores_what_it_does_not_know(request: Request, extra: dict[str, Any]) -> None:
    assert codec.decode(with_more(codec.encode(request), extra), Request) == request


@given(any_event)
def test_equal_values_are_equal_bytes(event: Event) -> None:
    again = decode_event(codec.encode(event))
    assert codec.encode(again) == codec.encode(event)
