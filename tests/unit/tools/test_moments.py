"""Moments as people type them."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.examples import NOON
from tools.moments import parse_coming, parse_date, parse_moment


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        (" 1w ", timedelta(weeks=1)),
    ],
)
def test_a_number_with_a_unit_is_so_long_ago(text: str, ago: timedelta) -> None:
    assert parse_moment(text, NOON) == NOON - ago


def test_of_what_is_to_come_it_is_so_long_from_now() -> None:
    assert parse_coming("2h", NOON) == NOON + timedelta(hours=2)
    assert parse_coming("2031-05-01T12:00:00Z", NOON) == NOON
    with pytest.raises(ValueError, match=r"too long$"):
        parse_coming("999999999w", NOON)
    with pytest.raises(ValueError, match="no moment; write 30s, 10m"):
        parse_coming("soon", NOON)


def test_a_date_with_a_zone_is_that_moment() -> None:
    assert parse_moment("2031-05-01T14:00:00+02:00", NOON) == NOON
    assert parse_moment("2031-05-01T12:00:00Z", NOON) == NOON


def test_a_date_without_a_zone_is_local_time() -> None:
    local = NOON.astimezone().replace(tzinfo=None)
    assert parse_moment(local.isoformat(), datetime.now(UTC)) == NOON
    assert parse_date(f"{local:%Y-%m-%d %H:%M}") == NOON


@pytest.mark.parametrize("text", ["", "soon", "10", "-5m", "5 m", "2031-13-01", "999999999w"])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"write 30s, 10m|too long ago"):
        parse_moment(text, NOON)
