"""What aria2 is told of downloads, and what it tells of them. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec import Struct


class Status(StrEnum):
    ACTIVE = "active"
    WAITING = "waiting"
    PAUSED = "paused"
    ERROR = "error"
    COMPLETE = "complete"
    REMOVED = "removed"


class Transfer(Struct, frozen=True, kw_only=True):
    """One download as aria2 tells it. Sizes in bytes, 0 while unknown; speed in bytes a second."""

    gid: str
    status: Status
    total: int = msgspec.field(name="totalLength")
    done: int = msgspec.field(name="completedLength")
    speed: int = msgspec.field(name="downloadSpeed")
    connections: int = 0
    error_code: str = msgspec.field(name="errorCode", default="")
    error_message: str = msgspec.field(name="errorMessage", default="")
    seeder: bool = False
    """A torrent that has every byte that is wanted."""
    verified: int | None = msgspec.field(name="verifiedLength", default=None)
    """Bytes of what lay on the disk that were compared so far; None while nothing is compared."""
    verify_pending: bool = msgspec.field(name="verifyIntegrityPending", default=False)

    @property
    def is_verifying(self) -> bool:
        """What lies on the disk is compared with its digests, or about to be: no byte comes meanwhile."""
        return self.verified is not None or self.verify_pending


class Tick(Struct, frozen=True):
    """Everything the daemon holds, of one moment."""

    transfers: dict[str, Transfer]
    """By gid."""
    speed: int
    """Bytes a second over all."""


class Addition(Struct, frozen=True):
    gid: str
    """All 16 digits: aria2 takes a prefix for a match."""
    uris: Sequence[str]
    options: dict[str, str | list[str]]
    """Values are text: aria2 passes over numbers in silence."""
    size: int = 0
    """Bytes of the file, 0 while unknown: how it is held back where its origin has a limit."""
    torrent: str = ""
    """The torrent as base64, where it is one: `uris` are its web seeds then."""


class Limits(NamedTuple):
    """What is to be set now. Bytes a second, 0 for no limit."""

    overall: int | None = None
    """Over all downloads; None: as it is."""
    tasks: Mapping[str, int] = {}
    """Of single downloads, by gid."""
    overall_upload: int | None = None
    """Over all that torrents send; None: as it is."""
    uploads: Mapping[str, int] = {}
    """Of single torrents, by gid."""
