"""What doctor has found out about a machine and its cluster: plain values, or why one could not be had."""

from enum import StrEnum
from typing import TypeAlias, TypeVar

from msgspec import Struct

from broker.health import Account, Server, Stream
from broker.lease import Holder
from schemas.control import NodeView, PolicyReply, StatsReply, TaskView


class Trouble(StrEnum):
    FAILED = "failed"
    """It was tried, and went wrong."""
    REFUSED = "refused"
    """The credentials do not allow it."""
    SKIPPED = "skipped"
    """Something it rests on is not there."""


class Missing(Struct, frozen=True):
    """A fact that could not be had."""

    trouble: Trouble
    why: str


T = TypeVar("T")
Known: TypeAlias = T | Missing


class WrongValue(Struct, frozen=True):
    """A value in the settings file or the environment that can't be used."""

    said: str
    nearest: str = ""
    """The name that was probably meant."""


class SettingsSeen(Struct, frozen=True):
    file: str
    """'' where there is none."""
    wrong: tuple[WrongValue, ...] = ()
    unknown_variables: tuple[WrongValue, ...] = ()


class ClusterSeen(Struct, frozen=True):
    """Which cluster is meant."""

    url: str
    """Without passwords."""
    source: str
    """What named it."""
    up_file: str = ""
    """The up.json that named it."""
    alive: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    """Processes of that up.json."""


class CredentialsSeen(Struct, frozen=True):
    file: str
    error: str = ""
    """Why it can't be used."""
    role: str = ""
    """'' for one that Downdraft did not make."""
    name: str = ""
    mode: int | None = None
    """Permission bits; None where the system has none."""


class ProgramSeen(Struct, frozen=True):
    program: str
    setting: str
    named: str
    """What the setting says; '' for nothing."""
    path: str = ""
    error: str = ""
    """Why it was not found, or does not run."""
    version: str = ""
    said: str = ""
    """All it says of itself."""


class FolderSeen(Struct, frozen=True):
    what: str
    path: str
    exists: bool
    writable: bool
    """Where it does not exist: whether it could be made."""
    free_bytes: int
    total_bytes: int


class Machine(Struct, frozen=True):
    version: str
    python: str
    settings: Known[SettingsSeen]
    cluster: Known[ClusterSeen]
    credentials: Known[CredentialsSeen]
    programs: tuple[Known[ProgramSeen], ...]
    folders: tuple[Known[FolderSeen], ...]


class DriftSeen(Struct, frozen=True):
    field: str
    said: str


class StreamSeen(Struct, frozen=True):
    stream: Stream | None
    """None: there is no such stream."""
    drift: tuple[DriftSeen, ...] = ()


class StoreSeen(Struct, frozen=True):
    """What a server of this machine uses of the disk it allows itself, in bytes."""

    used: int
    limit: int


class StatsSeen(Struct, frozen=True):
    reply: StatsReply
    took_s: float


class QueueSeen(Struct, frozen=True):
    queued: tuple[TaskView, ...]
    more: bool
    """There are more than were read."""


class Cluster(Struct, frozen=True):
    """What the broker and the leading coordinator say."""

    server: Known[Server]
    account: Known[Account]
    store: Known[StoreSeen]
    streams: dict[str, Known[StreamSeen]]
    clock_ahead_s: Known[float]
    """This machine's clock less the broker's."""
    lease: Known[Holder | None]
    stats: Known[StatsSeen]
    nodes: Known[tuple[NodeView, ...]]
    queue: Known[QueueSeen]
    policy: Known[PolicyReply] = Missing(Trouble.SKIPPED, "nobody was asked for it")
