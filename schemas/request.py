"""A download request: what a producer publishes to `downloads.requests`."""

import re
from datetime import datetime
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta, Struct

from schemas import codec
from schemas.errors import RequestInvalid
from schemas.options import ALLOWED, Value, check_options
from schemas.sizes import parse_size

REQUEST_BYTES_MAX = 512 * 1024
"""What the inbox takes; larger things (torrents, metalinks) go through the object store."""
URIS_MAX = 64
TAGS_MAX = 64
"""Of each kind: every placing of the task compares them with every node's."""
LABELS_BYTES_MAX = 16 * 1024
"""Names and values together: every event of the task carries them."""
URI_CHARS_MAX = 8192
SCHEMES = ("http", "https", "ftp", "sftp")
NOOP = "noop"
"""`noop:anything` is a task that takes no time and stores no file: for measuring, where a setting allows it."""
DIGEST_HEX = {"md5": 32, "sha-1": 40, "sha-224": 56, "sha-256": 64, "sha-384": 96, "sha-512": 128}
STAGING_NAME = ".downdraft"
"""The folder inside a node's download folder that holds what is unfinished; no request may name it."""

Tag = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/=-]{0,63}\Z")]
Label = Annotated[str, Meta(max_length=256)]
LabelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,63}\Z")]
Moment = Annotated[datetime, Meta(tz=True)]
HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_|~-]{1,128}\Z")]
HeaderValue = Annotated[str, Meta(max_length=8192, pattern=r"^[^\r\n\x00]*\Z")]


class Resources(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a download will take of its node: placed only where that is left."""

    disk: Annotated[
        int | str | None,
        Meta(
            description="Room on the disk, in bytes, where more is needed than `size`; K, M and G are accepted.",
            examples=["10G"],
        ),
    ] = None
    bandwidth: Annotated[
        int | str | None,
        Meta(
            description="Bytes a second it needs of what its node has (`node.bandwidth`).",
            examples=["20M"],
        ),
    ] = None

    @property
    def disk_bytes(self) -> int:
        return self.disk if isinstance(self.disk, int) else 0

    @property
    def bytes_per_s(self) -> int:
        return self.bandwidth if isinstance(self.bandwidth, int) else 0


class Request(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One file to download. Only `uris` (or `uri`) is required; unknown fields are ignored."""

    uris: Annotated[
        tuple[str, ...],
        Meta(
            description="Mirrors of one file, each http, https, ftp or sftp; bytes may come from all of them.",
            examples=[["https://a.example/f.iso", "https://b.example/f.iso"]],
        ),
    ] = ()
    uri: Annotated[
        str | None,
        Meta(description="One address: short for `uris` of one.", examples=["https://a.example/f.iso"]),
    ] = None
    id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256)] | None,
        Meta(
            description="Your own id for this request: a repeat of it by the same owner is the same task.",
            examples=["nightly-2031-05-01"],
        ),
    ] = None
    name: Annotated[
        Annotated[str, Meta(max_length=256)] | None,
        Meta(description="A name to show to people.", examples=["Debian netinst"]),
    ] = None
    out: Annotated[
        str | None,
        Meta(
            description="File name, or relative path, to save as; default: the last part of the address.",
            examples=["debian.iso"],
        ),
    ] = None
    dir: Annotated[
        str | None,
        Meta(description="Folder below the node's download folder.", examples=["images/2031"]),
    ] = None
    tags: Annotated[
        tuple[Tag, ...],
        Meta(description="Only nodes that have all these tags may run it.", examples=[["eu", "disk=ssd"]]),
    ] = ()
    avoid_tags: Annotated[
        tuple[Tag, ...],
        Meta(description="Nodes that have any of these tags may not run it.", examples=[["metered"]]),
    ] = ()
    prefer_tags: Annotated[
        tuple[Tag, ...],
        Meta(
            description="Of the nodes that may run it, those with the most of these tags come first.",
            examples=[["zone=eu"]],
        ),
    ] = ()
    resources: Annotated[
        Resources | None,
        Meta(description="What it will take of its node.", examples=[{"disk": "10G", "bandwidth": "20M"}]),
    ] = None
    priority: Annotated[
        Annotated[int, Meta(ge=-10, le=10)],
        Meta(description="From -10 to 10; higher goes first.", examples=[5]),
    ] = 0
    checksum: Annotated[
        str | None,
        Meta(
            description="The digest the file must have, as `<type>=<hex>`.",
            examples=["sha-256=" + "0123456789abcdef" * 4],
        ),
    ] = None
    size: Annotated[
        int | str | None,
        Meta(
            description="The size the file must have, in bytes; K, M and G of 1024 are accepted.",
            examples=[1048576, "20M"],
        ),
    ] = None
    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Meta(
            description="Headers to send to the origin; values never leave the cluster's table.",
            examples=[{"Authorization": "Bearer …"}],
        ),
    ] = {}
    options: Annotated[
        dict[str, Value],
        Meta(
            description=f"aria2 options for this download: {', '.join(ALLOWED)}.",
            examples=[{"split": 4, "max-download-limit": "2M"}],
        ),
    ] = {}
    max_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(description="How often to try before it ends `failed`; default: the cluster's.", examples=[3]),
    ] = None
    not_before: Annotated[
        Moment | None,
        Meta(description="Don't start before this moment (RFC 3339).", examples=["2031-05-01T22:00:00Z"]),
    ] = None
    deadline: Annotated[
        Moment | None,
        Meta(description="Fails if not finished by this moment.", examples=["2031-05-02T06:00:00Z"]),
    ] = None
    labels: Annotated[
        dict[LabelName, Label],
        Meta(
            description="Your own notes; they come back in the events and can be filtered by.",
            examples=[{"project": "mirror"}],
        ),
    ] = {}

    @property
    def title(self) -> str:
        """What to call this download before its file has a name."""
        return self.name or self.out or file_name(self.uris[0]) if self.uris else self.name or "?"

    @property
    def is_noop(self) -> bool:
        """Whether nothing is to be downloaded."""
        return bool(self.uris) and self.uris[0].startswith(f"{NOOP}:")

    @property
    def size_bytes(self) -> int | None:
        return self.size if isinstance(self.size, int) else None


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
    return normalise(request)


_UNPRINTABLE = re.compile(r"[\s\x00-\x1f]")
_EXAMPLE = '{"uris": ["https://example.org/file"]}'
_ADDRESS = "write it as https://host/path"
_MOMENT = "must be a moment with a time zone, such as 2031-05-01T22:00:00Z"
_WHOLLY = {
    "priority": "must be a whole number from -10 to 10",
    "not_before": _MOMENT,
    "deadline": _MOMENT,
}
"""What to say of a field, whatever was wrong with it."""
_TAG = "a tag is 1 to 64 letters, digits and any of _.:/=- and begins with a letter or digit"
_PATTERNS = {
    "tags": _TAG,
    "avoid_tags": _TAG,
    "prefer_tags": _TAG,
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
    if not uris:
        raise RequestInvalid("uris", f"at least one address is needed, for example {_EXAMPLE}")
    if len(uris) > URIS_MAX:
        raise RequestInvalid("uris", f"at most {URIS_MAX} mirrors, not {len(uris)}")
    if len(uris) > 1 and any(uri.startswith(f"{NOOP}:") for uri in uris):
        raise RequestInvalid("uris", f"{NOOP}: stands alone")
    for index, uri in enumerate(uris):
        _check_uri(f"uris[{index}]", uri)
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
    _check_path("out", request.out)
    _check_path("dir", request.dir)
    _check_checksum(request.checksum)
    checked = check_options(request.options)
    return msgspec.structs.replace(request, uri=None, uris=uris, size=size, resources=resources, options=dict(checked))


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
    if parts.scheme.lower() not in SCHEMES:
        named = parts.scheme or "none"
        raise RequestInvalid(where, f"scheme {named!r} is not allowed; use {', '.join(SCHEMES)}")
    if not host:
        raise RequestInvalid(where, f"has no host; {_ADDRESS}")


def _check_path(where: str, path: str | None) -> None:
    if path is None:
        return
    parts = PurePosixPath(path).parts
    if not parts or (path.endswith("/") and where == "out"):
        raise RequestInvalid(where, "must name a file or folder")
    if path.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", path):
        raise RequestInvalid(where, f"must be relative to the download folder, not {path!r}")
    if ".." in parts or ".." in path.split("\\"):
        raise RequestInvalid(where, f"must not leave the download folder with '..': {path!r}")
    if parts[0] == STAGING_NAME:
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


@lru_cache(maxsize=4096)
def file_name(uri: str) -> str:
    """The file name an address suggests; 'index' where it names none."""
    last = unquote(urlsplit(uri).path.rstrip("/").rpartition("/")[2])
    cleaned = re.sub(r"[\x00-\x1f/\\]", "_", last).strip()
    return cleaned.encode()[:200].decode(errors="ignore") if cleaned not in {"", ".", "..", STAGING_NAME} else "index"


def _friendly(where: str, what: str) -> str:
    field = re.split(r"[.\[]", where)[0]
    if field in _WHOLLY:
        return _WHOLLY[field]
    if "matching regex" in what and field in _PATTERNS:
        return _PATTERNS[field]
    return what[:1].lower() + what[1:]
