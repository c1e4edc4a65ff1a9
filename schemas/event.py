"""Events: what happened to tasks, as stored in EVENTS and seen by every subscriber of `downloads.events.>`."""

from datetime import datetime

import msgspec
from msgspec import Struct

from schemas import codec
from schemas.lifecycle import Desired, Outcome
from schemas.request import Request
from schemas.task import AttemptRecord, FailureClass, Mirror

QUEUE_LIMIT = "owner.queued"
FILES_MAX = 1000
"""Told in one outcome: a message must stay far below what the broker takes."""


class Event(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="type"):
    """What all events carry. `time` is the broker's, as the writer follows it; order is the stream's."""

    task: str
    owner: str
    time: datetime
    attempt: int = 0
    name: str = ""
    labels: dict[str, str] = {}

    @property
    def kind(self) -> str:
        """The event's type, `finished.<outcome>` included: the middle of its subject."""
        tag = type(self).__struct_config__.tag
        return str(tag)


class Queued(Event, frozen=True, kw_only=True, tag="queued"):
    """The request was claimed: the task exists."""

    uris: tuple[str, ...] = ()
    """Without users, passwords and query values."""
    tags: tuple[str, ...] = ()
    priority: int = 0
    size: int | None = None


class Assigned(Event, frozen=True, kw_only=True, tag="assigned"):
    """The task was placed on a node."""

    node: str
    why: str


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """The node's aria2 took it on."""

    node: str
    lane: str


class AttemptFailed(Event, frozen=True, kw_only=True, tag="attempt_failed"):
    """A node's fact: this attempt is over without a file."""

    node: str
    failure: FailureClass
    reason: str
    code: str = ""
    retry_after_s: float | None = None
    """What the origin asked for (Retry-After)."""
    origin: str = ""
    """Who asked for it, `host:port` of one of the task's addresses; empty where there is only one, or nobody knows."""
    size: int | None = None
    """Bytes of the whole file, where the node came to know them."""
    mirrors: tuple[Mirror, ...] = ()
    """Only where there were several addresses: what each did in this attempt."""


class Retrying(Event, frozen=True, kw_only=True, tag="retrying"):
    """The task went back to the queue."""

    reason: str
    next_in_s: float = 0.0
    counted: bool = True
    """False where the attempt does not count against max_attempts: a lost node, a release, a drain."""


class Released(Event, frozen=True, kw_only=True, tag="released"):
    """A node's fact: it gave the task back, as wished or because it is leaving."""

    node: str
    reason: str
    desired: Desired = Desired.RUN
    """The wish it obeyed; `run` where it gave the task back of its own."""
    size: int | None = None
    """As in `attempt_failed`."""


class Paused(Event, frozen=True, kw_only=True, tag="paused"):
    node: str = ""


class Resumed(Event, frozen=True, kw_only=True, tag="resumed"):
    node: str = ""


class Prioritised(Event, frozen=True, kw_only=True, tag="prioritised"):
    """Somebody changed its priority, or its position in the queue."""

    priority: int
    position: int | None = None
    """How many queued tasks of its owner and priority went before it then; None where it was not queued."""


class Dismissed(Event, frozen=True, kw_only=True, tag="dismissed"):
    """Its owner does not want to see it on the list of ended tasks any more; the log keeps its outcome."""


class Finished(Event, frozen=True, kw_only=True):
    """How a task ended; each task has exactly one such event."""

    source: str = ""
    retry_of: str = ""
    request: Request | None = None
    """The request, where nothing in it is secret: what `retry` needs, for the row is gone."""
    uris: tuple[str, ...] = ()
    """Only where `request` is withheld: its addresses without what is secret, or the first of very many."""
    tags: tuple[str, ...] = ()
    """Only where `request` is withheld."""


class StoredFile(Struct, frozen=True):
    """One of several files that a task brought."""

    path: str
    """Relative to the node's download folder."""
    bytes: int
    digest: str
    """`sha-256=<hex>`; empty where the node takes none (`node.sha256`)."""


class Completed(Finished, frozen=True, kw_only=True, tag="finished.completed"):
    """A whole file lies on a node."""

    node: str
    path: str
    """Relative to that node's download folder: the file, or the folder where `files` lie."""
    bytes: int
    """Of all files together."""
    digest: str
    """`sha-256=<hex>`, computed by the node from what it stored; empty where there are several, or it takes none."""
    seconds: float
    """From the attempt's start to the whole file."""
    files: tuple[StoredFile, ...] = ()
    """Only where there are several: each of them, the first FILES_MAX of very many."""
    files_cut: int = 0
    """So many files are not told."""
    mirrors: tuple[Mirror, ...] = ()
    """Only where there were several addresses."""


class Failed(Finished, frozen=True, kw_only=True, tag="finished.failed"):
    reason: str
    code: str = ""
    history: tuple[AttemptRecord, ...] = ()
    """How each attempt ended, newest last."""
    history_cut: int = 0
    """So many attempts before those are not told any more."""
    mirrors: tuple[Mirror, ...] = ()
    """Only where there were several addresses: what each did in the last attempt."""


class Cancelled(Finished, frozen=True, kw_only=True, tag="finished.cancelled"):
    reason: str = ""


class Rejected(Finished, frozen=True, kw_only=True, tag="finished.rejected"):
    """The request could not be accepted."""

    reason: str
    where: str = ""
    """The field at fault; QUEUE_LIMIT for a good request of an owner who has too many tasks waiting."""
    submitted: datetime | None = None
    """With QUEUE_LIMIT: when the inbox stored it. The same id asked for again later is another request."""


AnyEvent = (
    Queued
    | Assigned
    | Started
    | AttemptFailed
    | Retrying
    | Released
    | Paused
    | Resumed
    | Prioritised
    | Dismissed
    | Completed
    | Failed
    | Cancelled
    | Rejected
)
Fact = AttemptFailed | Released | Completed

OUTCOME_EVENTS: dict[Outcome, type[Finished]] = {
    Outcome.COMPLETED: Completed,
    Outcome.FAILED: Failed,
    Outcome.CANCELLED: Cancelled,
    Outcome.REJECTED: Rejected,
}

KINDS: tuple[str, ...] = tuple(
    str(kind.__struct_config__.tag)
    for kind in (Queued, Assigned, Started, AttemptFailed, Retrying, Released, Paused, Resumed, Prioritised, Dismissed)
) + tuple(str(kind.__struct_config__.tag) for kind in OUTCOME_EVENTS.values())


class _Tagged(Struct):
    type: str


_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def decode_event(body: bytes) -> AnyEvent | None:
    """An event, or None for a type this version does not know. Raises msgspec.ValidationError."""
    if codec.decode(body, _Tagged).type not in KINDS:
        return None
    event: AnyEvent = _decoder.decode(body)
    return event


def outcome_of(event: Event) -> Outcome | None:
    """The outcome an event tells of, None where the task goes on."""
    return Outcome(event.kind.removeprefix("finished.")) if isinstance(event, Finished) else None
