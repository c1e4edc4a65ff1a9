"""Addresses that fetch one file for a while without a key."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from gateway.tickets import Ticket, opens, read_ticket, ticket_for
from schemas.apikey import ApiKey, Scope, digest_of, make_secret

TASK, OTHER = "0123456789abcdef", "fedcba9876543210"
NOW = 1_795_000_000
SECRET = make_secret(bytes(range(28)))
KEY = ApiKey(id=SECRET.id, owner="a", scopes=(Scope.READ,), digest=digest_of(SECRET), created=datetime.now(UTC))


def ticket(until: int = NOW + 60) -> Ticket:
    read = read_ticket(ticket_for(KEY, TASK, until))
    assert read is not None
    return read


def test_a_ticket_opens_the_file_it_was_made_for_until_it_is_over() -> None:
    assert opens(ticket(), KEY, TASK, NOW)
    assert not opens(ticket(), KEY, TASK, NOW + 60)


def test_a_ticket_opens_no_other_task_s_file() -> None:
    assert not opens(ticket(), KEY, OTHER, NOW)


def test_a_ticket_can_t_be_made_to_hold_longer() -> None:
    assert not opens(replace(ticket(), until=NOW + 6000), KEY, TASK, NOW)


def test_a_ticket_ends_with_its_key() -> None:
    assert not opens(ticket(), replace(KEY, revoked=datetime.now(UTC)), TASK, NOW)


def test_a_ticket_of_another_key_opens_nothing() -> None:
    other = make_secret(bytes(range(1, 29)))
    assert not opens(ticket(), replace(KEY, digest=digest_of(other)), TASK, NOW)
    assert not opens(replace(ticket(), key=other.id), KEY, TASK, NOW)


@pytest.mark.parametrize("text", ["", "x", "00000000.1795000000.", SECRET.text, "00000000.1795000000." + "a" * 44])
def test_what_is_no_ticket_is_known_as_such(text: str) -> None:
    assert read_ticket(text) is None
