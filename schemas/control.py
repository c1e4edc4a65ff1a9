"""Control verbs: what a caller asks of the leading coordinator, and what it answers.

Answers carry every field, defaults included: scripts read them.
"""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from schemas.event import AnyEvent
from schemas.heartbeat import Heartbeat
from schemas.lifecycle import Desired, State
from schemas.task import AttemptRecord

VERBS = ("cancel", "pause", "resume", "retry", "clear", "list", "show", "nodes", "stats")
LIST_PAGE_MAX = 500
"""Tasks in one answer: keeps it far below the broker's message limit."""
IDS_MAX = 1000


class Steer(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """cancel, pause, resume, retry and clear."""

    ids: Annotated[tuple[str, ...], Meta(max_length=IDS_MAX)] = ()
    """Task ids; for `clear` none means everything that is queued."""
    deadline: datetime | None = None
    """Not carried out after this moment: a coordinator that slept must not apply yesterday's wish."""


class Steered(Struct, frozen=True):
    """What became of one id."""

    task: str
    ok: bool
    said: str
    """A sentence for people."""
    new_task: str = ""
    """The task that `retry` made."""


class SteerReply(Struct, frozen=True):
    results: tuple[Steered, ...]


class ListQuery(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """list: live tasks, oldest first, then the latest outcomes."""

    states: tuple[State, ...] = ()
    after: str = ""
    """The last id of the page before."""
    limit: Annotated[int, Meta(ge=1, le=LIST_PAGE_MAX)] = 100


class TaskView(Struct, frozen=True, kw_only=True):
    """A task as people see it: no secrets."""

    task: str
    owner: str
    state: State
    name: str = ""
    uris: tuple[str, ...] = ()
    node: str = ""
    attempt: int = 1
    failures: int = 0
    desired: Desired = Desired.RUN
    phase: str = ""
    """What its node does with it just now."""
    tags: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    priority: int = 0
    reason: str = ""
    submitted: datetime | None = None
    due_in_s: float = 0.0
    """How long until it may be placed: back-off, or not_before."""
    path: str = ""
    bytes: int = 0
    digest: str = ""
    seconds: float = 0.0
    finished: datetime | None = None
    history: tuple[AttemptRecord, ...] = ()


class ListReply(Struct, frozen=True):
    tasks: tuple[TaskView, ...]
    more: bool = False


class ShowQuery(Struct, frozen=True):
    id: str


class ShowReply(Struct, frozen=True):
    task: TaskView | None
    events: tuple[AnyEvent, ...] = ()


class NodeView(Struct, frozen=True, kw_only=True):
    node: str
    online: bool
    heard_ago_s: float
    assigned: int
    """Rows that stand at this node."""
    heartbeat: Heartbeat


class NodesReply(Struct, frozen=True):
    nodes: tuple[NodeView, ...]


class StatsReply(Struct, frozen=True, kw_only=True):
    leader: str
    epoch: int
    states: dict[str, int]
    outcomes: dict[str, int]
    """Outcomes this leader has seen since it leads."""
    nodes_online: int
    bytes_per_s: int
    ignored_facts: int
    """Reports that changed nothing: repeats, and those of attempts long over."""
    undecodable: int
    """Messages that could not be read at all."""


class ErrorReply(Struct, frozen=True):
    error: str
