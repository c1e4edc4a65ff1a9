"""Ids for requests that have none of their own, so that a run that is repeated finds the same tasks. Pure."""

import hashlib
from urllib.parse import urlsplit, urlunsplit

from schemas import codec
from schemas.options import SECRET
from schemas.request import Request

IDENTITY: tuple[str, ...] = (
    *("name", "out", "dir", "tags", "priority", "checksum", "size"),
    *("max_attempts", "not_before", "deadline", "labels"),
)
"""Fields that tell one entry from another, besides addresses and options."""
LATER_IDENTITY = ("avoid_tags", "prefer_tags", "resources", "if_exists", "kind", "torrent", "metalink", "paused")
"""The same, counted only where they are set: ids that were made before there were these stay as they are."""


PLAIN = Request()
"""With every field as it is where nothing is said of it."""


def repeatable_id(prefix: str, request: Request) -> str:
    """An id made from what the request says: the same entry with the same options has it again, wherever it stands.

    Headers and passwords are left out, for an id is shown to everyone and must not help in guessing them.
    """
    later = {field: value for field in LATER_IDENTITY if (value := getattr(request, field)) != getattr(PLAIN, field)}
    said = codec.encode(
        later
        | {
            "uris": [_without_user(uri) for uri in request.uris],
            "options": {name: value for name, value in request.options.items() if name not in SECRET},
            "rest": [getattr(request, field) for field in IDENTITY],
        }
    )
    return f"{prefix}-{hashlib.sha256(said).hexdigest()[:16]}"


def _without_user(uri: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
