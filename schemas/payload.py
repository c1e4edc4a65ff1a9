"""What a request's addresses lead to: a file itself, or a torrent or metalink that says where the files are."""

import base64
import binascii
import re
from enum import StrEnum
from urllib.parse import parse_qs, unquote, urlsplit

from schemas.errors import RequestInvalid

INLINE_BYTES_MAX = 128 * 1024
"""Of a torrent or metalink inside a request: every event of an outcome repeats it. Larger ones go by the object
store."""
OBJECT = "object:"
"""Before the name of an object in the bucket of payloads."""
OBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MAGNET = "magnet:"
HOST_SLASHES = 2
"""What follows one more is a path."""

_INFO_HASH = re.compile(r"urn:btih:([0-9a-fA-F]{40}|[A-Za-z2-7]{32})")


class Kind(StrEnum):
    AUTO = "auto"
    """By the ending of the address: `.torrent`, `.metalink`, `.meta4`; all else is a file."""
    FILE = "file"
    TORRENT = "torrent"
    METALINK = "metalink"


_ENDINGS = {".torrent": Kind.TORRENT, ".metalink": Kind.METALINK, ".meta4": Kind.METALINK}
_ENDINGS_OF_ADDRESSES = tuple(_ENDINGS)


def kind_of(uri: str) -> Kind:
    """What an address leads to, as far as it tells. Of a million waiting tasks each is asked: no parser, then."""
    lower = uri.lower()
    if ".torrent" in lower or ".meta" in lower:
        path = lower.partition("?")[0].partition("#")[0]
        if path.endswith(_ENDINGS_OF_ADDRESSES) and path.count("/") > HOST_SLASHES:
            return _ENDINGS[path[path.rindex(".") :]]
    return Kind.TORRENT if lower.startswith(MAGNET) else Kind.FILE


def is_magnet(uri: str) -> bool:
    return uri[: len(MAGNET)].lower() == MAGNET


def magnet_name(uri: str) -> str:
    """The name a magnet link gives, else its info hash."""
    asked = parse_qs(urlsplit(uri).query)
    return unquote((asked.get("dn") or asked.get("xt") or ["magnet"])[0]).removeprefix("urn:btih:")


def check_magnet(where: str, uri: str) -> None:
    """Raises RequestInvalid for a magnet link that names no torrent."""
    topics = parse_qs(urlsplit(uri).query).get("xt", [])
    if not any(_INFO_HASH.fullmatch(topic) for topic in topics):
        raise RequestInvalid(where, "this magnet link has no xt=urn:btih:<info hash>, which names the torrent")


def check_inline(where: str, given: str) -> None:
    """Raises RequestInvalid for what is neither base64 of a bounded size nor `object:<name>`."""
    if given.startswith(OBJECT):
        if not OBJECT_NAME.fullmatch(given.removeprefix(OBJECT)):
            raise RequestInvalid(where, f"{given!r} names no object: letters, digits, '.', '_' and '-', at most 128")
        return
    inline_bytes(where, given)


def inline_bytes(where: str, given: str) -> bytes:
    """The torrent or metalink itself. Raises RequestInvalid."""
    too_large = f"more than {INLINE_BYTES_MAX} bytes; put it into the object store, as `downdraft submit` does"
    if len(given) > INLINE_BYTES_MAX * 4 // 3 + 4:
        raise RequestInvalid(where, too_large)
    try:
        found = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestInvalid(where, f"must be base64, or {OBJECT}<name>") from error
    if not found:
        raise RequestInvalid(where, "is empty")
    if len(found) > INLINE_BYTES_MAX:
        raise RequestInvalid(where, too_large)
    return found
