"""The row a request begins with: accepted or rejected, and what its id is made of."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from coordinator.claim import first_row
from schemas.ids import task_id
from schemas.lifecycle import Outcome, State
from schemas.task import order_of
from tests.examples import a_delivery

GOOD = b'{"uris":["https://a.example/f"]}'
WITH_ID = b'{"id":"nightly","uris":["https://a.example/f"]}'
BAD = b'{"id":"nightly","uris":[]}'


def test_a_good_request_is_queued_for_its_owner() -> None:
    row = first_row(a_delivery(GOOD, owner="ada"))
    assert (row.state, row.owner, row.attempt) == (State.QUEUED, "ada", 1)
    assert row.submitted == datetime.fromtimestamp(10**9, UTC)


def test_an_id_field_names_the_task_within_its_owner() -> None:
    row = first_row(a_delivery(WITH_ID, owner="ada", message_id="m1"))
    assert (row.source, row.task) == ("id:nightly", task_id("ada", "id:nightly"))


def test_a_message_id_names_the_task_where_there_is_no_id_field() -> None:
    assert first_row(a_delivery(GOOD, message_id="m1")).source == "id:m1"


def test_a_request_without_an_id_is_named_by_its_place_and_time_in_the_inbox() -> None:
    assert first_row(a_delivery(GOOD, sequence=7, stored_ns=123)).source == "seq:7@123"


def test_a_redelivery_is_the_same_task() -> None:
    first = a_delivery(GOOD)
    assert first_row(first) == first_row(replace(first, delivered=2, pending=9, reply="x"))


def test_a_salt_makes_another_id_for_the_same_source() -> None:
    plain, salted = first_row(a_delivery(WITH_ID)), first_row(a_delivery(WITH_ID), salt=1)
    assert plain.source == salted.source
    assert plain.task != salted.task


def test_a_bad_request_is_ending_rejected_and_says_why() -> None:
    row = first_row(a_delivery(BAD))
    assert (row.state, row.outcome, row.request) == (State.ENDING, Outcome.REJECTED, None)
    assert row.code == "uris"
    assert row.reason.startswith("uris: at least one address is needed")


def test_a_corrected_request_with_the_same_id_is_no_repeat_of_the_rejected_one() -> None:
    rejected, corrected = first_row(a_delivery(BAD)), first_row(a_delivery(WITH_ID))
    assert rejected.source == corrected.source
    assert rejected.task != corrected.task


def test_the_same_bad_request_again_is_the_same_task() -> None:
    assert first_row(a_delivery(BAD, sequence=1)).task == first_row(a_delivery(BAD, sequence=2)).task


@pytest.mark.parametrize("owner", ["admin", "Ada", "a b", "ä", "x" * 64])
def test_a_name_that_is_no_owner_is_rejected_however_good_the_request(owner: str) -> None:
    row = first_row(a_delivery(GOOD, owner=owner))
    assert row.outcome is Outcome.REJECTED
    assert row.reason == f"{owner!r} is not an owner: use a-z, 0-9, '-' and '_', and not 'admin'"


def test_a_message_id_that_is_not_utf_8_names_a_task_all_the_same() -> None:
    one, other = (first_row(a_delivery(GOOD, message_id=text)) for text in ("a\udcff", "a\udcfe"))
    assert one.source.startswith("raw:")
    assert one.task != other.task


NOOP = b'{"uris": ["noop:"], "id": "a"}'


def test_a_noop_is_rejected_unless_a_setting_allows_it() -> None:
    row = first_row(a_delivery(NOOP))
    assert row.outcome is Outcome.REJECTED
    assert "coordinator.allow_noop" in row.reason
    assert first_row(a_delivery(NOOP), allow_noop=True).state is State.QUEUED


def test_requests_that_were_stored_in_the_same_instant_keep_their_order() -> None:
    """A clock that is too coarse gives several messages the same time."""
    rows = [first_row(a_delivery(GOOD, sequence=sequence, stored_ns=10**18)) for sequence in range(128, 160)]
    orders = [order_of(row) for row in rows]
    assert orders == sorted(set(orders))


def test_the_order_is_the_same_for_each_redelivery_and_that_of_the_inbox() -> None:
    """370 ns apart, as fast as nats-server stores them; sequences count on beyond what is added."""
    times = [(sequence, 10**18 + 500 + 370 * sequence) for sequence in range(1, 3000)]
    orders = [first_row(a_delivery(GOOD, sequence=sequence, stored_ns=at)).order for sequence, at in times]
    assert orders == sorted(set(orders))
    assert orders == [first_row(a_delivery(GOOD, sequence=number, stored_ns=at)).order for number, at in times]


def test_a_row_without_an_order_goes_by_when_it_was_submitted() -> None:
    row = first_row(a_delivery(GOOD))
    old = replace(row, order=0, submitted=datetime(2031, 5, 1, 12, 0, 0, 123_456, tzinfo=UTC))
    assert order_of(row) == row.order
    assert order_of(old) == 1_935_403_200_123_456_000
    assert order_of(replace(old, submitted=None)) == 0
