"""Windows of the week: what people write, and when a limit holds."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from schemas.windows import describe, limit_at, parse_window

MB = 1 << 20
MONDAY = datetime(2026, 11, 23)
BERLIN = ZoneInfo("Europe/Berlin")


def at(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """A moment of one week; day 0 is Monday."""
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute, seconds=second)


def limit(text: str, moment: datetime) -> int | None:
    return limit_at([parse_window(text)], moment)


@pytest.mark.parametrize(
    "text",
    [
        "Mon-Fri 08:00-18:00 20M",
        "Mon–Fri 08:00–18:00 20M",
        "mon - fri  08:00 - 18:00  20m",
        "Monday-Friday 8:00-18:00 20M/s",
        "Mon,Tue,Wed,Thu,Fri 08:00-18:00 20971520",
        "Mon Tue Wed Thurs Fri 08:00−18:00 20MiB",
    ],
)
def test_a_window_may_be_written_in_several_ways(text: str) -> None:
    window = parse_window(text)
    assert window == parse_window("Mon-Fri 08:00-18:00 20M")
    assert (window.days, window.start, window.end, window.bytes_per_s) == (frozenset(range(5)), 480, 1080, 20 * MB)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a window"),
        ("Mon-Fri 08:00-18:00", "not a size"),
        ("Mon-Fri 20M 08:00-18:00", "not a window"),
        ("Mo-Fr 20M", "'mo-fr' is no day"),
        ("Monsoon 20M", "'monsoon' is no day"),
        ("Mon-Fri 8-18 20M", "'8' is no time of the day"),
        ("08:00-24:01 20M", "'24:01' is no time of the day"),
        ("08:00-18:60 20M", "'18:60' is no time of the day"),
        ("24:00-08:00 20M", "can't begin at 24:00"),
        ("Mon-Fri 08:00-18:00 0", "at least 1K"),
        ("1023", "at least 1K"),
        ("-5M", "not a size"),
    ],
)
def test_what_is_no_window_is_refused_with_a_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_window(text)


def test_a_window_holds_from_its_first_minute_to_the_one_before_its_end() -> None:
    text = "Mon-Fri 08:00-18:00 20M"
    assert limit(text, at(0, 7, 59, 59)) is None
    assert limit(text, at(0, 8)) == 20 * MB
    assert limit(text, at(4, 17, 59, 59)) == 20 * MB
    assert limit(text, at(4, 18)) is None
    assert limit(text, at(5, 12)) is None


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    text = "Sun 22:00-06:00 1M"
    assert limit(text, at(6, 21, 59)) is None
    assert limit(text, at(6, 23)) == MB
    assert limit(text, at(7, 5, 59)) == MB, "on Monday morning"
    assert limit(text, at(7, 6)) is None
    assert limit(text, at(6, 5)) is None, "on Sunday morning"


def test_24_00_is_the_end_of_the_day() -> None:
    assert limit("Sat 20:00-24:00 1M", at(5, 23, 59)) == MB
    assert limit("Sat 20:00-24:00 1M", at(6, 0)) is None
    assert all(limit("Sat 00:00-24:00 1M", at(5, hour)) for hour in range(24))


@pytest.mark.parametrize("text", ["Wed 08:00-08:00 1M", "Wed 00:00-00:00 1M"])
def test_a_window_that_ends_when_it_begins_holds_a_whole_day(text: str) -> None:
    begins = parse_window(text).start
    held = [minute for minute in range(0, 7 * 24 * 60, 15) if limit(text, MONDAY + timedelta(minutes=minute))]
    assert held == list(range(2 * 24 * 60 + begins, 3 * 24 * 60 + begins, 15))


def test_without_days_it_holds_every_day_and_without_hours_all_day() -> None:
    assert all(limit("1M", at(day, hour)) == MB for day in range(7) for hour in range(24))
    assert [bool(limit("08:00-09:00 1M", at(day, 8))) for day in range(7)] == [True] * 7
    assert [bool(limit("Sat,Sun 1M", at(day, 3))) for day in range(7)] == [False] * 5 + [True] * 2


def test_days_may_run_over_the_end_of_the_week() -> None:
    assert parse_window("Sat-Mon 1M").days == {5, 6, 0}


def test_of_several_windows_the_least_limit_counts() -> None:
    windows = [parse_window("Mon-Fri 08:00-18:00 20M"), parse_window("12:00-13:00 5M"), parse_window("Sat 1M")]
    assert [limit_at(windows, at(0, hour)) for hour in (7, 9, 12, 13)] == [None, 20 * MB, 5 * MB, 20 * MB]


def test_the_clock_of_the_zone_counts_also_on_the_days_on_which_it_is_changed() -> None:
    window = parse_window("02:00-03:30 1M")

    def minutes_held(day: datetime) -> int:
        moments = (day + timedelta(minutes=minute) for minute in range(24 * 60))
        return sum(window.holds(moment.astimezone(BERLIN)) for moment in moments)

    assert minutes_held(datetime(2026, 3, 28, 12, tzinfo=UTC)) == 30, "from 02:00 it is 03:00 at once"
    assert minutes_held(datetime(2026, 6, 1, 12, tzinfo=UTC)) == 90
    assert minutes_held(datetime(2026, 10, 24, 12, tzinfo=UTC)) == 150, "the hour from 02:00 comes twice"


def test_people_are_told_when_it_holds_and_how_much_it_is() -> None:
    assert describe(parse_window("Mon-Wed 8:00-24:00 1536K")) == "Mon-Wed 08:00-24:00 1.5 MiB/s"
    assert describe(parse_window("Sat,Sun,Mon,Wed 20M")) == "Mon,Wed,Sat,Sun 00:00-24:00 20 MiB/s"
    assert describe(parse_window("2M")) == "every day 00:00-24:00 2 MiB/s"
