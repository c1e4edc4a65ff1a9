"""Tickets: an address that fetches one task's file for a while without a key, for browsers, which can't show one. Pure.

A ticket is signed with what is stored of the key that asked for it: every replica can check it, nothing is kept for it,
and it ends with the key.
"""

import base64
import hashlib
import hmac
import re

from msgspec import Struct

from schemas.apikey import ApiKey

QUERY = "ticket"
VALID_S = 3600
"""For a download to begin, and to go on after a break."""
_TICKET = re.compile(r"([0-9a-f]{8})\.([0-9]{10,11})\.([A-Za-z0-9_-]{43})")


class Ticket(Struct, frozen=True):
    """One that somebody shows."""

    key: str
    """The id of the key that asked for it."""
    until: int
    """Seconds since 1970."""
    signature: str


def ticket_for(key: ApiKey, task: str, until: int) -> str:
    return f"{key.id}.{until}.{_signature(key, task, until)}"


def read_ticket(text: str) -> Ticket | None:
    """None for what is no ticket."""
    found = _TICKET.fullmatch(text)
    return Ticket(found[1], int(found[2]), found[3]) if found else None


def opens(ticket: Ticket, key: ApiKey, task: str, now: float) -> bool:
    """Whether it is of this key, for this task, and not over."""
    is_signed = hmac.compare_digest(ticket.signature, _signature(key, task, ticket.until))
    return is_signed and ticket.key == key.id and key.revoked is None and now < ticket.until


def _signature(key: ApiKey, task: str, until: int) -> str:
    signed = hmac.digest(key.digest.encode(), f"file {task} {until}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
