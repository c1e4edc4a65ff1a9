"""What a check says: fine, a warning, a problem, or not checked; and what to do."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from tools.doctor.facts import Missing, Trouble

NAMES_SHOWN_MAX = 5
"""Of a long list: the rest is counted."""


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNCHECKED = "unchecked"


class Finding(Struct, frozen=True):
    check: str
    """`group.name`"""
    status: Status
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    return Finding(check, Status.OK, found)


def warning(check: str, found: str, remedy: str) -> Finding:
    return Finding(check, Status.WARNING, found, remedy)


def problem(check: str, found: str, remedy: str) -> Finding:
    return Finding(check, Status.PROBLEM, found, remedy)


def unchecked(check: str, missing: Missing, remedy: str = "") -> Finding:
    """For a fact that is missing: a problem where asking for it went wrong."""
    if missing.trouble is Trouble.FAILED:
        return Finding(check, Status.PROBLEM, missing.why, remedy)
    return Finding(check, Status.UNCHECKED, f"not checked: {missing.why}", remedy)


def listed(names: Iterable[str]) -> str:
    """Names for people: the first few, and how many more there are."""
    all_names = list(names)
    shown = ", ".join(all_names[:NAMES_SHOWN_MAX])
    more = len(all_names) - NAMES_SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown


def many(count: int, what: str) -> str:
    """A number of things: `1 message`, `2 messages`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
