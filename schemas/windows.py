"""Times of the week with a limit on bandwidth: `Mon-Fri 08:00-18:00 20M`. Pure: the caller says what time it is."""

import re
from collections.abc import Iterable
from datetime import datetime, time
from typing import NamedTuple

from schemas.sizes import format_size, parse_size

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DASHES = str.maketrans(dict.fromkeys("\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}", "-"))
"""What text editors make of a hyphen."""
EXAMPLE = "Mon-Fri 08:00-18:00 20M"

_TEXT = re.compile(r"(?:(?P<days>[a-z,\s-]+?)\s+)?(?:(?P<start>[\d:]+)\s*-\s*(?P<end>[\d:]+)\s+)?(?P<limit>\S+)\Z")
_TIME = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)\Z")
MINUTES = 24 * 60


class Window(NamedTuple):
    """When a limit holds, in the local time of the policy's zone."""

    days: frozenset[int]
    """0 is Monday: the days on which it begins."""
    start: int
    """Minutes after midnight."""
    end: int
    """Minutes after midnight, up to 1440; at or below `start` it ends on the day after."""
    bytes_per_s: int

    def holds(self, local: datetime) -> bool:
        """Whether it holds at a moment of the zone's local time, as a clock on the wall there shows it.

        An hour that the clock skips in spring is in no window; one that it shows twice in autumn is in it twice.
        """
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        late = day in self.days and minute >= self.start
        early = (day - 1) % 7 in self.days and minute < self.end
        return late or early


def parse_window(text: str) -> Window:
    """Days (`Mon-Fri`, `Sat,Sun`; none: every day), hours (`08:00-18:00`; none: all day) and a limit in bytes a second.

    Raises ValueError, which says what is wrong.
    """
    plain = text.strip().lower().translate(_DASHES).removesuffix("/s")
    found = _TEXT.match(plain)
    if found is None:
        raise ValueError(f"not a window: {text!r}; write it as {EXAMPLE}")
    days = _days(found["days"] or "", text)
    start, end = (0, MINUTES) if found["start"] is None else (_minutes(found["start"]), _minutes(found["end"]))
    try:
        limit = parse_size(found["limit"])
    except ValueError as error:
        raise ValueError(f"{error}; a window is written as {EXAMPLE}") from error
    if limit < 1024:
        raise ValueError("at least 1K a second; to stop all downloads for a while, cordon or pause them")
    if start == MINUTES:
        raise ValueError(f"can't begin at 24:00 ({text!r}): write 00:00 and the next day")
    return Window(days, start, end, limit)


def limit_at(windows: Iterable[Window], local: datetime) -> int | None:
    """The least limit of the windows that hold at a moment of local time, bytes a second; None where none does."""
    return min((window.bytes_per_s for window in windows if window.holds(local)), default=None)


def describe(window: Window) -> str:
    """As people write it."""
    return f"{_day_names(window.days)} {_clock(window.start)}-{_clock(window.end)} {format_size(window.bytes_per_s)}/s"


def _day_names(days: frozenset[int]) -> str:
    """`Mon-Fri`, `Sat,Sun`, `Mon,Wed-Fri`"""
    if len(days) == len(DAYS):
        return "every day"
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    names = [[DAYS[day].capitalize() for day in run] for run in runs]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(run) for run in names)


def _clock(minutes: int) -> str:
    return "24:00" if minutes == MINUTES else time(minutes // 60, minutes % 60).strftime("%H:%M")


def _days(words: str, text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in filter(None, re.split(r"[,\s]+", re.sub(r"\s*-\s*", "-", words.strip()))):
        first, _, last = part.partition("-")
        try:
            begin, end = _day(first), _day(last or first)
        except ValueError:
            raise ValueError(f"{part!r} is no day in {text!r}; days are Mon, Tue, Wed, Thu, Fri, Sat, Sun") from None
        found.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(found) or frozenset(range(7))


def _day(word: str) -> int:
    """0 for Monday, of a name or its beginning. Raises ValueError."""
    if len(word) < 3 or not any(name.startswith(word) for name in _DAY_NAMES):
        raise ValueError(word)
    return DAYS.index(word[:3])


def _minutes(text: str) -> int:
    found = _TIME.match(text)
    minutes = int(found[1]) * 60 + int(found[2]) if found else MINUTES + 1
    if minutes > MINUTES:
        raise ValueError(f"{text!r} is no time of the day; write it as 08:00, up to 24:00")
    return minutes
