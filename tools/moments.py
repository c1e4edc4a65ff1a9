"""Moments as people type them: `10m` ago, in `2h`, or a date and time."""

import re
from datetime import datetime, timedelta

_SPAN = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
EXAMPLES = "30s, 10m, 2h, 7d, or 2031-05-01T22:00:00Z"


def parse_moment(text: str, now: datetime) -> datetime:
    """The moment `text` means: so long before `now`, or a date as `parse_date` takes it.

    `now` has a zone, and so has the answer. Raises ValueError, which says what to write.
    """
    return _parsed(text, now, -1)


def parse_coming(text: str, now: datetime) -> datetime:
    """As `parse_moment`, but `2h` means: two hours after `now`."""
    return _parsed(text, now, 1)


def parse_date(text: str) -> datetime:
    """An ISO 8601 date and time, local where it has no zone. Raises ValueError."""
    moment = datetime.fromisoformat(text.strip())
    return moment if moment.tzinfo is not None else moment.astimezone()


def is_span(text: str) -> bool:
    """Whether `text` means another moment each time it is read."""
    return _SPAN.fullmatch(text.strip()) is not None


def _parsed(text: str, now: datetime, direction: int) -> datetime:
    try:
        if found := _SPAN.fullmatch(text.strip()):
            return now + direction * timedelta(**{_UNITS[found[2]]: int(found[1])})
        return parse_date(text)
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long{' ago' if direction < 0 else ''}") from error
    except ValueError as error:
        raise ValueError(f"{text!r} is no moment; write {EXAMPLES}") from error
