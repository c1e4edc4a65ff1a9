"""Whether an origin still has the file that a partial was begun from. Pure.

aria2 sends no If-Range: it would put the end of one version behind the beginning of another and call it complete.
"""

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from schemas.task import AttemptRecord

CHANGED_CODE = "changed"
UNCONFIRMED_CODE = "unconfirmed"
"""Codes of attempts that may have mixed two versions of a file."""


class Seen(Struct, frozen=True, omit_defaults=True):
    """What one address said of the file."""

    etag: str = ""
    last_modified: str = ""
    length: int | None = None
    """Bytes."""


class Kept(Struct, frozen=True, omit_defaults=True):
    """What lies beside a partial."""

    seen: dict[str, Seen] = {}
    """By `address_key`; empty where no address said anything."""
    boot: str = ""
    """Which run of the system wrote it; empty where that can't be told."""


class Judgement(StrEnum):
    SAME = "same"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    """Nothing was told that could be compared."""


def address_key(uri: str) -> str:
    """An address as it is kept on the disk: it may hold a password."""
    return hashlib.sha256(uri.encode(errors="replace")).hexdigest()[:16]


def compare(before: Seen, now: Seen) -> Judgement:
    """One address against itself. An ETag decides (weak ones too), else the date; a length alone is a weak sign."""
    if None not in (before.length, now.length) and before.length != now.length:
        return Judgement.CHANGED
    for one, other in ((before.etag, now.etag), (before.last_modified, now.last_modified)):
        if one and other:
            return Judgement.SAME if one == other else Judgement.CHANGED
    return Judgement.UNKNOWN if None in (before.length, now.length) else Judgement.SAME


def compare_all(before: Mapping[str, Seen], now: Mapping[str, Seen]) -> Judgement:
    """All addresses of a file, each against itself: mirrors may have other validators. One that changed is enough."""
    judged = [compare(before[key], now[key]) for key in before.keys() & now.keys()]
    if Judgement.CHANGED in judged:
        return Judgement.CHANGED
    return Judgement.SAME if Judgement.SAME in judged else Judgement.UNKNOWN


def why_not_resumed(kept: Kept | None, now: Mapping[str, Seen], *, size: int, boot: str) -> str | None:
    """Why a partial of `size` bytes without a checksum is not to be continued; None where it is.

    Where the origin does not answer now (`now` is empty) it goes on, and is compared when it is whole.
    """
    if kept is None:
        return "nobody knows what it was begun from"
    if now and not kept.seen:
        return "the origin said nothing of the file when it was begun"
    if boot != kept.boot:
        return "the system was restarted since: what the disk has of it is not certain"
    if any(seen.length is not None and size > seen.length for seen in now.values()):
        return f"it has {size} bytes already, more than the file"
    if now and not any(_says_something(seen) for seen in now.values()):
        return "the origin says nothing by which to tell whether the file is still the same"
    if compare_all(kept.seen, now) is Judgement.CHANGED:
        return changed(kept.seen, now)
    return None


def changed(before: Mapping[str, Seen], now: Mapping[str, Seen]) -> str:
    """A sentence with what is different."""
    for key in before.keys() & now.keys():
        if compare(before[key], now[key]) is Judgement.CHANGED:
            return f"the file changed at its origin: it was {_said(before[key])}, now it is {_said(now[key])}"
    return "the file changed at its origin"


def was_mixed(history: Iterable[AttemptRecord]) -> bool:
    """Whether an earlier attempt met a file that changes: then only one answer, from first byte to last, is right."""
    return any(record.code in (CHANGED_CODE, UNCONFIRMED_CODE) for record in history)


def _says_something(seen: Seen) -> bool:
    return bool(seen.etag or seen.last_modified) or seen.length is not None


def _said(seen: Seen) -> str:
    told = [f"ETag {seen.etag}" if seen.etag else "", f"of {seen.last_modified}" if seen.last_modified else ""]
    told.append(f"{seen.length} bytes" if seen.length is not None else "")
    return ", ".join(one for one in told if one) or "unknown"
