"""Whatever is published as a request becomes a row that can be stored: no message can stop the claiming."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.topology import ROW_BYTES_MAX
from coordinator.claim import first_row
from schemas import codec
from schemas.ids import QUEUED, TASK_ID
from schemas.lifecycle import Outcome, State
from schemas.options import ALLOWED
from schemas.request import REQUEST_BYTES_MAX, Request
from schemas.task import TaskRow
from tests.examples import a_delivery
from tests.property.strategies import json_values, words

URIS = ["https://a.example/f"]
fields = st.sampled_from([*Request.__struct_fields__, "unknown"])
header_values = st.binary(max_size=20).map(lambda raw: raw.decode(errors="surrogateescape"))


def stored(body: bytes, **fields: Any) -> TaskRow:
    """The row as the table would give it back."""
    row = first_row(a_delivery(body, **fields))
    written = codec.encode(row)
    assert len(written) <= ROW_BYTES_MAX
    assert codec.decode(written, TaskRow) == row
    assert TASK_ID.fullmatch(row.task)
    assert row.place == QUEUED
    accepted = row.state is State.QUEUED
    assert (row.request is not None) == accepted
    assert (row.outcome is None) == accepted
    assert bool(row.reason) != accepted
    return row


def with_field(name: str, value: object) -> bytes:
    return json.dumps({"uris": URIS} | {name: value}).encode()


@given(st.binary(max_size=60), header_values)
def test_any_bytes_with_any_message_id_become_a_row(body: bytes, message_id: str) -> None:
    stored(body, message_id=message_id)


@given(fields, json_values)
@example("size", 10**30)
@example("size", "9" * 5000)
@example("size", "5\u212a")
@example("options", {"split": 10**30})
@example("options", {"split": "9" * 5000})
def test_any_value_of_any_field_becomes_a_row(name: str, value: object) -> None:
    stored(with_field(name, value))


@given(st.sampled_from(sorted(ALLOWED)), json_values)
def test_any_value_of_any_option_becomes_a_row(option: str, value: object) -> None:
    stored(with_field("options", {option: value}))


@given(st.sampled_from(["http", "ftp", "x", ""]), st.text(max_size=30))
def test_any_address_becomes_a_row(scheme: str, rest: str) -> None:
    stored(with_field("uris", [f"{scheme}://{rest}"]))


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("before", ["", '{"uris":["https://a.example/f"],"x":'])
def test_a_request_nested_too_deeply_is_rejected(opening: str, before: str) -> None:
    row = stored((before + opening * 100_000).encode())
    assert row.outcome is Outcome.REJECTED


@pytest.mark.parametrize("field", ["out", "dir", "checksum", "size", "not_before", "options", "uris", "headers"])
@pytest.mark.parametrize("letter", ["x", "\x01", "\U0010ffff"])
def test_a_refusal_of_the_longest_request_still_fits_the_table(field: str, letter: str) -> None:
    room = REQUEST_BYTES_MAX - 100
    long = "/" + letter * (room // len(json.dumps(letter, ensure_ascii=False).encode()))
    value: object = {"options": {long: 1}, "headers": {long: "x"}, "uris": [long]}.get(field, long)
    body = json.dumps({"uris": URIS} | {field: value}, ensure_ascii=False).encode()
    assert len(body) <= REQUEST_BYTES_MAX
    assert stored(body).outcome is Outcome.REJECTED


@given(words, words)
def test_a_refused_address_does_not_give_away_its_password(user: str, more: str) -> None:
    for uri in (
        f"http://{user}:Qq7Secret{more}",
        f"http://u:Qq7Secret@ex\u2100mple/{more}",
        f"x://u:Qq7Secret@{more}/",
    ):
        assert "Qq7Secret" not in stored(with_field("uris", [uri])).reason
