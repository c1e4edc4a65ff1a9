"""Moments as people type them: `10m` ago, `2h` ago, or a date and time."""

import re
from datetime import datetime, timedelta

_AGO = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_moment(text: str, now: datetime) -> datetime:
    """The moment `text` means: so long before `now`, or an ISO 8601 date and time, local where it has no zone.

    `now` has a zone, and so has the answer. Raises ValueError, which says what to write.
    """
    cleaned = text.strip()
    if found := _AGO.fullmatch(cleaned):
        try:
            return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        except OverflowError as error:
            raise ValueError(f"{text!r} is too long ago") from error
    try:
        moment = datetime.fromisoformat(cleaned)
    except ValueError as error:
        raise ValueError(f"{text!r} is no moment; write 30s, 10m, 2h, 7d, or 2031-05-01T22:00:00Z") from error
    return moment if moment.tzinfo is not None else moment.astimezone()
