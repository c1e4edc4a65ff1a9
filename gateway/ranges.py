"""Parts of a file as HTTP asks for them (RFC 9110, sections 13 and 14). Pure."""

import base64
import hashlib
import mimetypes
import re
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import PurePosixPath
from urllib.parse import quote

from msgspec import Struct

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*\Z", re.IGNORECASE)
_OPAQUE = "application/octet-stream"


class Unsatisfiable(Exception):
    """The file has nothing of what is asked for."""


class Whole(Struct, frozen=True, kw_only=True):
    """A finished file, as its headers tell of it."""

    task: str
    path: str
    bytes: int
    digest: str
    """`sha-256=<hex>`, or empty."""
    finished: datetime | None

    @property
    def etag(self) -> str:
        """A task's file never changes, so what names it tells it from all others, where there is no digest."""
        named = self.digest.partition("=")[2]
        return f'"{named or hashlib.sha256(f"{self.task} {self.bytes} {self.path}".encode()).hexdigest()[:32]}"'

    @property
    def last_modified(self) -> str:
        return format_datetime(self.finished.astimezone(UTC), usegmt=True) if self.finished else ""

    def headers(self) -> dict[str, str]:
        """What is so of the whole and of each part. It comes from strangers: no page of ours may show it as its own."""
        found = {
            "Accept-Ranges": "bytes",
            "ETag": self.etag,
            "Content-Disposition": disposition(PurePosixPath(self.path).name),
            "Cache-Control": "private, no-cache",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
        }
        if self.finished:
            found["Last-Modified"] = self.last_modified
        if self.digest:
            found["Repr-Digest"] = (
                f"sha-256=:{base64.b64encode(bytes.fromhex(self.digest.partition('=')[2])).decode()}:"
            )
        return found

    @property
    def media_type(self) -> str:
        kind, encoding = mimetypes.guess_type(self.path)
        return _OPAQUE if kind is None or encoding is not None else kind


def disposition(name: str) -> str:
    """To be saved under its name, whatever letters it has (RFC 6266)."""
    plain = "".join(
        letter if letter.isascii() and letter.isprintable() and letter not in '"\\%' else "_" for letter in name
    )
    told = f'attachment; filename="{plain or "file"}"'
    return told if plain == name else f"{told}; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


def part_asked(asked: str | None, if_range: str | None, whole: Whole) -> tuple[int, int] | None:
    """From where up to before where; None: the whole. Raises Unsatisfiable.

    Of several parts none is given but the whole, as anyone may; so is it where the file is not the one that is meant.
    """
    if asked is None or (if_range is not None and if_range not in (whole.etag, whole.last_modified)):
        return None
    found = _RANGE.match(asked.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, whole.bytes - int(last)), whole.bytes
    else:
        start, end = int(first), min(int(last) + 1 if last else whole.bytes, whole.bytes)
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise Unsatisfiable
    return start, end


def is_known(if_none_match: str | None, whole: Whole) -> bool:
    """Whether whoever asks has it already."""
    if if_none_match is None:
        return False
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return "*" in known or whole.etag in known
