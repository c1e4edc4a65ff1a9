"""Checks a request as published, and brings it into its one stored form. Every refusal says what to mend."""

import re
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import msgspec

from schemas import codec
from schemas.errors import RequestInvalid
from schemas.misread import why_misread
from schemas.options import OF_SEVERAL, OF_TORRENTS, check_options
from schemas.payload import Kind, check_inline, check_magnet, is_magnet
from schemas.request import (
    DIGEST_HEX,
    LABELS_BYTES_MAX,
    NOOP,
    SCHEMES,
    STAGING_NAME,
    TAGS_MAX,
    URI_CHARS_MAX,
    URIS_MAX,
    IfExists,
    Request,
    Resources,
)
from schemas.sizes import parse_size
from schemas.templates import TemplateInvalid, check
from schemas.unknown import unknown_names


def decode_request(body: bytes) -> Request:
    """Decode and check a request as published. Raises RequestInvalid, which says what to mend."""
    try:
        request = codec.decode(body, Request)
    except msgspec.ValidationError as error:
        where, what = codec.explain(error)
        raise RequestInvalid(where, _friendly(where, what)) from error
    except RecursionError as error:
        raise RequestInvalid("", f"nested too deeply; publish an object such as {_EXAMPLE}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestInvalid("", f"not JSON ({error}); publish an object such as {_EXAMPLE}") from error
    _refuse_unknown(body, request)
    return normalise(request)


_UNPRINTABLE = re.compile(r"[\s\x00-\x1f]")
_EXAMPLE = '{"uris": ["https://example.org/file"]}'
_ADDRESS = "write it as https://host/path"
_MOMENT = "must be a moment with a time zone, such as 2031-05-01T22:00:00Z"
_WHOLLY = {
    "priority": "must be a whole number from -10 to 10",
    "if_exists": f"must be one of {', '.join(IfExists)}",
    "not_before": _MOMENT,
    "deadline": _MOMENT,
}
"""What to say of a field, whatever was wrong with it."""
TAG_FORM = "a tag is 1 to 64 letters, digits and any of _.:/=- and begins with a letter or digit"
_PATTERNS = {
    "tags": TAG_FORM,
    "avoid_tags": TAG_FORM,
    "prefer_tags": TAG_FORM,
    "labels": "a label's name is 1 to 64 letters, digits and any of _./- and begins with a letter or digit",
    "headers": "a header's name is made of letters, digits and !#$%&'*+.^_|~- and its value is one line",
}
"""What a pattern wants, in words."""


def producer_id(body: bytes) -> str | None:
    """The producer's id in a body that may be invalid otherwise; None when it can't be read."""
    try:
        loose: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = loose.get("id") if isinstance(loose, dict) else None
    return found if isinstance(found, str) and found else None


def normalise(request: Request) -> Request:
    """Check what types can't say and bring the request into its one stored form. Raises RequestInvalid."""
    uris = ((request.uri,) if request.uri is not None else ()) + request.uris
    uris = tuple(dict.fromkeys(uris))
    if not uris and request.torrent is None and request.metalink is None:
        raise RequestInvalid("uris", f"at least one address is needed, for example {_EXAMPLE}")
    if len(uris) > URIS_MAX:
        raise RequestInvalid("uris", f"at most {URIS_MAX} mirrors, not {len(uris)}")
    if len(uris) > 1 and any(uri.startswith(f"{NOOP}:") for uri in uris):
        raise RequestInvalid("uris", f"{NOOP}: stands alone")
    for index, uri in enumerate(uris):
        _check_uri(f"uris[{index}]", uri)
    _check_payload(msgspec.structs.replace(request, uris=uris))
    try:
        size = None if request.size is None else parse_size(request.size)
    except ValueError as error:
        raise RequestInvalid("size", str(error)) from error
    resources = _checked_resources(request.resources)
    for wish in ("tags", "avoid_tags", "prefer_tags"):
        if len(getattr(request, wish)) > TAGS_MAX:
            raise RequestInvalid(wish, f"at most {TAGS_MAX} tags, not {len(getattr(request, wish))}")
    if contrary := set(request.tags) & set(request.avoid_tags):
        raise RequestInvalid("avoid_tags", f"{min(contrary)!r} is among the tags that a node must have, too")
    if sum(len(name.encode()) + len(value.encode()) for name, value in request.labels.items()) > LABELS_BYTES_MAX:
        raise RequestInvalid("labels", f"more than {LABELS_BYTES_MAX} bytes in all; keep notes of that size elsewhere")
    if request.deadline is not None and request.not_before is not None and request.deadline <= request.not_before:
        raise RequestInvalid("deadline", "must come after not_before: nothing can be finished before it may begin")
    for where in ("out", "dir"):
        _check_path(where, msgspec.structs.replace(request, uris=uris))
    _check_checksum(request.checksum)
    checked = check_options(request.options)
    _check_meaning(request)
    return msgspec.structs.replace(request, uri=None, uris=uris, size=size, resources=resources, options=dict(checked))


def _refuse_unknown(body: bytes, request: Request) -> None:
    if request.resources is None:  # the only part that is strict: the others are not read twice
        return
    for found in unknown_names(msgspec.json.decode(body), Request):
        raise RequestInvalid(found.where, found.said)


def _check_payload(request: Request) -> None:
    """What is to be downloaded must be said once, and its parts must fit together."""
    uris = request.uris
    given = [name for name in ("torrent", "metalink") if getattr(request, name) is not None]
    if len(given) > 1:
        raise RequestInvalid("metalink", "a request has a torrent or a metalink, not both")
    for name in given:
        check_inline(name, getattr(request, name))
        if request.kind not in (Kind.AUTO, Kind(name)):
            raise RequestInvalid("kind", f"must be {name!r}, or be left out, where there is a {name}")
    if given == ["metalink"] and uris:
        raise RequestInvalid("uris", "a metalink names its addresses itself; leave them out")
    if any(map(is_magnet, uris)) and (len(uris) > 1 or given):
        raise RequestInvalid("uris", "a magnet link stands alone")
    if request.kind is Kind.FILE and any(map(is_magnet, uris)):
        raise RequestInvalid("kind", "a magnet link is always a torrent")
    fetched = request.payload is not Kind.FILE and not given and not any(map(is_magnet, uris))
    if fetched and not all(uri.lower().startswith(("http://", "https://")) for uri in uris):
        raise RequestInvalid("uris", f"a {request.payload} is fetched by http or https only")
    if request.payload is not Kind.FILE and request.checksum is not None:
        raise RequestInvalid("checksum", f"a {request.payload} has digests of its own for what it leads to")


def meaningless(payload: Kind) -> frozenset[str]:
    """Options that say nothing for such a download."""
    of_torrents = OF_TORRENTS if payload is not Kind.TORRENT else frozenset()
    return of_torrents | {OF_SEVERAL} if payload is Kind.FILE else of_torrents


def _check_meaning(request: Request) -> None:
    """Options that say nothing of what is downloaded were meant otherwise."""
    if strange := sorted(meaningless(request.payload) & request.options.keys()):
        raise RequestInvalid(f"options.{strange[0]}", f"means nothing for a {request.payload}")


def _checked_resources(asked: Resources | None) -> Resources | None:
    if asked is None:
        return None
    parsed: dict[str, int | None] = {}
    for name in ("disk", "bandwidth"):
        value = getattr(asked, name)
        try:
            parsed[name] = None if value is None else parse_size(value)
        except ValueError as error:
            raise RequestInvalid(f"resources.{name}", str(error)) from error
    return Resources(**parsed) if any(parsed.values()) else None


def _check_uri(where: str, uri: str) -> None:
    if len(uri) > URI_CHARS_MAX:
        raise RequestInvalid(where, f"longer than {URI_CHARS_MAX} characters")
    if _UNPRINTABLE.search(uri):
        raise RequestInvalid(where, "has white space or control characters; percent-encode them")
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        # The error quotes what lies before the host: perhaps a password.
        raise RequestInvalid(where, f"not an address; {_ADDRESS}") from error
    if parts.scheme == NOOP:
        return
    if is_magnet(uri):
        check_magnet(where, uri)
        return
    if not parts.scheme:
        raise RequestInvalid(where, f"has no scheme; {_ADDRESS}")
    if parts.scheme.lower() not in SCHEMES:
        raise RequestInvalid(where, f"scheme {parts.scheme!r} is not allowed; use {', '.join(SCHEMES)} or magnet")
    if not host:
        raise RequestInvalid(where, f"has no host; {_ADDRESS}")
    if problem := why_misread(uri):
        raise RequestInvalid(where, problem)


def _check_path(where: str, request: Request) -> None:
    template: str | None = getattr(request, where)
    if template is None:
        return
    try:
        path = check(template, request)
    except TemplateInvalid as error:
        raise RequestInvalid(where, str(error)) from error
    parts = PurePosixPath(path).parts
    if not parts or (path.endswith("/") and where == "out"):
        raise RequestInvalid(where, "must name a file or folder")
    if path.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", path):
        raise RequestInvalid(where, f"must be relative to the download folder, not {path!r}")
    if ".." in parts or ".." in path.split("\\"):
        raise RequestInvalid(where, f"must not leave the download folder with '..': {path!r}")
    if any(part.casefold().startswith(STAGING_NAME) for part in parts):
        raise RequestInvalid(where, f"{STAGING_NAME!r} is kept for unfinished downloads")
    if any(ord(ch) < 32 for ch in path) or len(path) > 1024 or any(len(p.encode()) > 255 for p in parts):
        raise RequestInvalid(where, "has control characters or is too long for a file system")


def _check_checksum(checksum: str | None) -> None:
    if checksum is None:
        return
    kind, _, digest = checksum.partition("=")
    if kind not in DIGEST_HEX:
        raise RequestInvalid("checksum", f"must be <type>=<hex> with a type of {', '.join(DIGEST_HEX)}")
    if not re.fullmatch(rf"[0-9a-fA-F]{{{DIGEST_HEX[kind]}}}", digest):
        raise RequestInvalid("checksum", f"{kind} has {DIGEST_HEX[kind]} hex digits, not {digest!r}")


def _friendly(where: str, what: str) -> str:
    field = re.split(r"[.\[]", where)[0]
    if field in _WHOLLY:
        return _WHOLLY[field]
    if "matching regex" in what and field in _PATTERNS:
        return _PATTERNS[field]
    return what[:1].lower() + what[1:]
