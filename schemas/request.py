"""A download request: what a producer publishes to `downloads.requests`."""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated
from urllib.parse import unquote, urlsplit

from msgspec import Meta, Struct

from schemas.names import KEPT_PREFIX, portable
from schemas.options import ALLOWED, Value
from schemas.payload import Kind, is_magnet, kind_of, magnet_name
from schemas.unknown import Strict

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
STAGING_NAME = KEPT_PREFIX
"""The folder inside a node's download folder that holds what is unfinished; no request may name it."""

Tag = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/=-]{0,63}\Z")]
Label = Annotated[str, Meta(max_length=256)]
LabelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,63}\Z")]
Moment = Annotated[datetime, Meta(tz=True)]
HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_|~-]{1,128}\Z")]
HeaderValue = Annotated[str, Meta(max_length=8192, pattern=r"^[^\r\n\x00]*\Z")]


class IfExists(StrEnum):
    """What to do where a file of that name lies on the node already."""

    RENAME = "rename"
    """Store beside it, as `name.1.ext` …"""
    OVERWRITE = "overwrite"
    """Replace it, in one step."""
    SKIP_IF_SAME = "skip-if-same"
    """Complete with that file where its content is the same; else store beside it."""
    FAIL = "fail"
    """End `failed`, with the code `exists`."""


class Resources(Strict, frozen=True, omit_defaults=True):
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
            description="File name, or relative path, to save as; default: what the origin calls it, or its address.",
            examples=["debian.iso", "{date}/{name}.{ext}"],
        ),
    ] = None
    dir: Annotated[
        str | None,
        Meta(description="Folder below the node's download folder.", examples=["images/2031", "{owner}/{date}"]),
    ] = None
    if_exists: Annotated[
        IfExists,
        Meta(
            description="Where such a file lies there already: `rename`, `overwrite`, `skip-if-same` or `fail`.",
            examples=["overwrite"],
        ),
    ] = IfExists.RENAME
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
    kind: Annotated[
        Kind,
        Meta(
            description="What the addresses lead to: `file`, `torrent` or `metalink`; `auto` goes by their ending.",
            examples=["file"],
        ),
    ] = Kind.AUTO
    torrent: Annotated[
        str | None,
        Meta(
            description="A torrent itself, as base64, or `object:<name>`; `uris` are its web seeds then.",
            examples=["object:debian.torrent"],
        ),
    ] = None
    metalink: Annotated[
        str | None,
        Meta(description="A metalink itself, as base64, or `object:<name>`.", examples=["object:debian.meta4"]),
    ] = None
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
    paused: Annotated[
        bool,
        Meta(description="Begin paused: it waits until somebody resumes it, however long.", examples=[True]),
    ] = False
    deadline: Annotated[
        Moment | None,
        Meta(
            description="Fails if not finished by this moment; must come after `not_before`.",
            examples=["2031-05-02T06:00:00Z"],
        ),
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
        plain = (self.out or "").replace("{{", "").replace("}}", "")
        out = (self.out or "").replace("{{", "{").replace("}}", "}") if "{" not in plain else ""
        return self.name or out or (file_name(self.uris[0]) if self.uris else f"{self.payload}")

    @property
    def payload(self) -> Kind:
        """What is downloaded: never `auto`."""
        if self.torrent is not None:
            return Kind.TORRENT
        if self.metalink is not None:
            return Kind.METALINK
        return kind_of(self.uris[0]) if self.kind is Kind.AUTO and self.uris else self.kind

    @property
    def is_noop(self) -> bool:
        """Whether nothing is to be downloaded."""
        return bool(self.uris) and self.uris[0].startswith(f"{NOOP}:")

    @property
    def size_bytes(self) -> int | None:
        return self.size if isinstance(self.size, int) else None


@lru_cache(maxsize=4096)
def file_name(uri: str) -> str:
    """The file name an address suggests; 'index' where it names none."""
    if is_magnet(uri):
        return portable(magnet_name(uri)) or "magnet"
    return portable(unquote(urlsplit(uri).path.rstrip("/").rpartition("/")[2])) or "index"
