"""The streams as declared, and what is said where they stand otherwise."""

from typing import Any

import pytest

from broker.topology import declared, differences
from schemas import subjects as s
from schemas.settings import BrokerSettings

STREAMS = declared(BrokerSettings())
FIELDS = [(name, field) for name, wanted in STREAMS.items() for field in wanted]


def otherwise(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return [*value, "more"] if isinstance(value, list) else {"src": "x"} if isinstance(value, dict) else f"{value}-x"


@pytest.mark.parametrize("name", STREAMS)
def test_nothing_is_said_of_a_stream_as_it_was_declared(name: str) -> None:
    assert differences(name, STREAMS[name], STREAMS[name]) == []


@pytest.mark.parametrize("name", STREAMS)
def test_nothing_is_said_of_what_was_not_declared(name: str) -> None:
    found = STREAMS[name] | {"name": name, "max_age_new": 5, "metadata": {"_nats.ver": "2.15.1"}}
    assert differences(name, STREAMS[name], found) == []


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_each_drift_is_named_with_what_is_and_what_was_declared(name: str, field: str) -> None:
    wanted = STREAMS[name]
    found = wanted | {field: otherwise(wanted[field])}
    assert differences(name, wanted, found) == [
        f"{name}.{field} is {otherwise(wanted[field])!r}, declared {wanted[field]!r}"
    ]


def test_every_drift_of_a_stream_is_named() -> None:
    wanted = STREAMS[s.TASKS_STREAM]
    found = wanted | {"discard": "old", "max_msgs_per_subject": 5}
    assert len(differences(s.TASKS_STREAM, wanted, found)) == 2


@pytest.mark.parametrize("field", ["subject_transform", "republish", "allow_direct", "max_msgs_per_subject"])
def test_a_field_that_the_server_leaves_out_is_a_drift(field: str) -> None:
    wanted = STREAMS[s.TASKS_STREAM]
    found = {key: value for key, value in wanted.items() if key != field}
    assert differences(s.TASKS_STREAM, wanted, found) == [
        f"{s.TASKS_STREAM}.{field} is None, declared {wanted[field]!r}"
    ]


def test_the_table_keeps_one_row_a_subject_and_refuses_rather_than_forgets() -> None:
    table = STREAMS[s.TASKS_STREAM]
    assert (table["max_msgs_per_subject"], table["discard"], table["retention"]) == (1, "new", "limits")
    assert "max_age" not in table


def test_the_log_drops_nothing_by_size_unless_told_to() -> None:
    assert STREAMS[s.EVENTS_STREAM]["max_bytes"] == -1
    assert STREAMS[s.EVENTS_STREAM]["discard"] == "new"


@pytest.mark.parametrize("name", [s.TASKS_STREAM, s.EVENTS_STREAM])
def test_only_what_was_stored_is_republished_under_the_public_name(name: str) -> None:
    stream = STREAMS[name]
    [written] = stream["subjects"]
    assert written.startswith("downloads.write.")
    assert stream["subject_transform"]["src"] == written
    assert not stream["subject_transform"]["dest"].startswith("downloads.write.")
    assert not stream["republish"]["src"].startswith("downloads.write.")


def test_what_the_bucket_stores_is_republished_where_only_those_hear_it_whose_it_is() -> None:
    republished = STREAMS[s.BUCKET_STREAM]["republish"]
    assert republished == {"src": "$KV.downdraft.>", "dest": "downloads.bucket.>"}


def test_the_inbox_is_a_work_queue_that_is_not_republished() -> None:
    requests = STREAMS[s.REQUESTS_STREAM]
    assert requests["retention"] == "workqueue"
    assert "republish" not in requests


def test_storage_and_replicas_are_those_that_were_set() -> None:
    streams = declared(BrokerSettings(storage="memory", replicas=3))
    assert {(one["storage"], one["num_replicas"]) for one in streams.values()} == {("memory", 3)}
