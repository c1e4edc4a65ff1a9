"""The aria2 options a request may set, and what each may be.

A node sets gid, dir and out itself. What is not listed is refused: some options (dir, out, proxies, hooks,
allow-overwrite, always-resume=false) would let a request leave its folder, its network or crash the daemon.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.errors import RequestInvalid
from schemas.selection import selected_files
from schemas.sizes import parse_size

Value = str | int | float | bool

SEED_MINUTES_MAX = 1440
"""A day: a task that gives to others holds a slot."""
SEED_RATIO_MAX = 100
_DECIMAL = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")
_DIGITS = re.compile(r"[0-9]{1,9}")
_ARIA2_SIZE = re.compile(r"[0-9]+[KMkm]?")
"""What aria2 itself can read; a size is handed to it as typed."""


class Option(NamedTuple):
    wants: str
    check: Callable[[Value], bool]


def _whole(low: int, high: int) -> Option:
    def check(value: Value) -> bool:
        if isinstance(value, bool | float):
            return False
        return bool(_DIGITS.fullmatch(str(value))) and low <= int(value) <= high

    return Option(f"a whole number from {low} to {high}", check)


def _decimal(high: int) -> Option:
    def check(value: Value) -> bool:
        return not isinstance(value, bool) and bool(_DECIMAL.fullmatch(str(value))) and float(value) <= high

    return Option(f"a number from 0 to {high}", check)


def _selection() -> Option:
    def check(value: Value) -> bool:
        if isinstance(value, bool | float):
            return False
        try:
            return bool(selected_files(str(value)))
        except ValueError:
            return False

    return Option("numbers of files, from 1, such as 1,3-5", check)


def _size() -> Option:
    def check(value: Value) -> bool:
        if isinstance(value, bool | float) or not _ARIA2_SIZE.fullmatch(str(value)):
            return False
        try:
            parse_size(value)
        except ValueError:
            return False
        return True

    return Option("a number of bytes such as 500K or 2M", check)


def _text() -> Option:
    return Option(
        "a line of text",
        lambda value: isinstance(value, str) and not any(ch in value for ch in "\r\n\0"),
    )


ALLOWED: Mapping[str, Option] = {
    "connect-timeout": _whole(1, 600),
    "ftp-passwd": _text(),
    "ftp-user": _text(),
    "http-passwd": _text(),
    "http-user": _text(),
    "lowest-speed-limit": _size(),
    "max-connection-per-server": _whole(1, 16),
    "max-download-limit": _size(),
    "max-tries": _whole(1, 10),
    "min-split-size": _size(),
    "referer": _text(),
    "retry-wait": _whole(0, 60),
    "seed-ratio": _decimal(SEED_RATIO_MAX),
    "seed-time": _decimal(SEED_MINUTES_MAX),
    "select-file": _selection(),
    "split": _whole(1, 16),
    "timeout": _whole(1, 600),
    "user-agent": _text(),
}

SECRET = frozenset({"ftp-passwd", "ftp-user", "http-passwd", "http-user"})

INSTEAD = {
    "checksum": "use the field `checksum`",
    "dir": "use the field `dir`",
    "gid": "the id is given by Downdraft; use the field `id` for your own",
    "header": "use the field `headers`",
    "out": "use the field `out`",
}


def check_options(options: Mapping[str, Value]) -> dict[str, str]:
    """The options as aria2 wants them: all values strings. Raises RequestInvalid."""
    checked: dict[str, str] = {}
    for name, value in options.items():
        option = ALLOWED.get(name)
        where = f"options.{name}"
        if option is None:
            hint = INSTEAD.get(name, f"allowed are {', '.join(ALLOWED)}")
            raise RequestInvalid(where, f"not an option a request may set; {hint}")
        if not option.check(value):
            shown = "" if name in SECRET else f", not {value!r}"
            raise RequestInvalid(where, f"must be {option.wants}{shown}")
        checked[name] = str(value)
    return checked
