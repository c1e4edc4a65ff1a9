"""Control verbs: what a caller asks of the leading coordinator, and what it answers.

Answers carry every field, defaults included: scripts read them.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

from schemas.event import AnyEvent, decode_event
from schemas.filter import TaskFilter
from schemas.heartbeat import Heartbeat
from schemas.lifecycle import Desired, State
from schemas.nodes import NodeWishes
from schemas.options import ALLOWED, SPEED_MAX, Value
from schemas.view import TaskView as TaskView

VERBS = (
    *("cancel", "pause", "resume", "retry", "clear", "prioritise", "limit"),
    *("list", "show", "explain", "nodes", "stats", "policy", "policy-set"),
    *("cordon", "uncordon", "drain", "configure"),
)
LIST_PAGE_MAX = 500
"""Tasks in one answer; one with long addresses holds fewer, to stay below the broker's message limit."""
IDS_MAX = 1000
"""Tasks of one ask: few enough to be steered before the caller loses patience."""
REFUSED_LATELY_S = 60.0
"""A refusal is news for so long: whoever leads tries again every few seconds."""
RECENT_S = 600
"""How far back `stats` counts outcomes."""


class Steer(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """pause, resume, retry and clear; with more to it cancel and prioritise."""

    ids: Annotated[tuple[str, ...], Meta(max_length=IDS_MAX)] = ()
    """Task ids; for `clear` none means everything that is queued, at most so many an ask."""
    where: TaskFilter | None = None
    """Checked once more on the task's true row, as it is changed: what does not match any more is left alone."""
    deadline: datetime | None = None
    """Not carried out after this moment: a coordinator that slept must not apply yesterday's wish."""


class Cancel(Steer, frozen=True, omit_defaults=True, kw_only=True):
    """cancel: what it had downloaded is deleted, unless it is to be kept."""

    keep_partial: bool = False
    """What has come of a task that stands at a node is kept there as `<name>.part`; the outcome's `reason` says so."""


class How(StrEnum):
    """What a position counts from, as in aria2's changePosition; beyond either end means that end."""

    SET = "set"
    """The beginning: 0 goes first."""
    CUR = "cur"
    """Where the task stands now: -1 is one up."""
    END = "end"
    """The end: 0 goes last, -1 before the last."""


class Prioritise(Steer, frozen=True, omit_defaults=True, kw_only=True):
    """prioritise: another priority, another position, or both.

    A position is one among the queued tasks of the same owner and priority. Several tasks are moved together and keep
    their order: the first of them comes to the position, the others follow it.
    """

    priority: Annotated[int, Meta(ge=-10, le=10)] | None = None
    position: int | None = None
    how: How = How.SET


class Steered(Struct, frozen=True):
    """What became of one id."""

    task: str
    ok: bool
    said: str
    """A sentence for people."""
    new_task: str = ""
    """The task that `retry` made."""
    matched: bool = True
    """False where it was left alone because it is not, or no more, what `where` or the verb means: no failure."""
    position: int | None = None
    """`prioritise`: how many queued tasks of its owner and priority go before it now; None where it is not queued."""
    again: bool = False
    """Where it was not done: asking again may help, for the broker was in trouble or it came too late."""


class SteerReply(Struct, frozen=True):
    results: tuple[Steered, ...]
    more: bool = False
    """`clear` without ids: more is queued than one ask takes; ask again."""


class SetLimits(Steer, frozen=True, omit_defaults=True, kw_only=True):
    """limit: how fast tasks may be from now on, also while they run; and other aria2 options of theirs, which count
    when a download is begun, or goes on after a pause. What is left out stays as it is."""

    download: Annotated[int, Meta(ge=0, le=SPEED_MAX)] | None = None
    """Bytes a second that a task may receive; 0: as much as it gets."""
    upload: Annotated[int, Meta(ge=0, le=SPEED_MAX)] | None = None
    """Bytes a second that a torrent may send; 0: as much as it can."""
    options: Annotated[dict[str, Value], Meta(max_length=len(ALLOWED))] = {}
    """As in a request."""


class ListQuery(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """list: live tasks, the longest submitted first."""

    where: TaskFilter = TaskFilter()
    after: str = ""
    """`after` of the page before; empty for the first."""
    limit: Annotated[int, Meta(ge=1, le=LIST_PAGE_MAX)] = 100


class ListReply(Struct, frozen=True):
    """A page. It may hold fewer tasks than asked for, even none, and yet not be the last."""

    tasks: tuple[TaskView, ...]
    more: bool = False
    after: str = ""
    """Where the next page begins: ask on with it while there is `more`, whoever leads by then."""


class ShowQuery(Struct, frozen=True):
    id: str


class ShowReply(Struct, frozen=True):
    task: TaskView | None
    events: tuple[AnyEvent, ...] = ()


class ShowAnswer(Struct, frozen=True):
    """A `ShowReply` as whoever asked reads it, for a newer coordinator may tell of events that are not known here."""

    task: TaskView | None
    events: tuple[Raw, ...] = ()

    @property
    def reply(self) -> ShowReply:
        """What is known of it. Raises msgspec.ValidationError."""
        return ShowReply(self.task, tuple(event for one in self.events if (event := decode_event(bytes(one)))))


class ExplainQuery(Struct, frozen=True):
    id: str


class NodeVerdict(Struct, frozen=True, kw_only=True):
    """What placing thinks of one node for one task, at the moment of the answer."""

    node: str
    online: bool
    excluded: str = ""
    """Why it can't have the task, as the end of a sentence that begins with the node; empty where it can."""
    score: tuple[float | str | None, ...] = ()
    """What the strategy gives it, the lowest is best; null where that is no finite number."""
    rank: int | None = None
    """1 for the node that would get it, 2 for the next; None where it is excluded."""
    note: str = ""


class Placed(Struct, frozen=True, kw_only=True):
    """One time a task was placed."""

    time: datetime
    attempt: int
    node: str
    why: str


class ExplainReply(Struct, frozen=True, kw_only=True):
    """Why a task stands where it stands, or what it waits for."""

    task: str
    owner: str
    state: State
    name: str = ""
    priority: int = 0
    submitted: datetime | None = None
    """None once it has ended."""
    finished: datetime | None = None
    node: str = ""
    """Where it stands, or stood when it ended; empty while it is queued."""
    why: str = ""
    """Why it was placed there."""
    reason: str = ""
    """Why it came back to the queue, or ended so."""
    desired: Desired = Desired.RUN
    """`pause` where it is paused."""
    asks_for: tuple[str, ...] = ()
    """What its request asks for, beside the file: tags, resources, when; a few words each."""
    placed: tuple[Placed, ...] = ()
    """Each time it was placed, the last of many, newest last."""
    strategy: str = ""
    """By which nodes are chosen now; this and what follows is empty once it has ended."""
    waits_for: tuple[str, ...] = ()
    """While it is queued: what keeps it there, what matters most first; each a sentence without its full stop."""
    ahead: int | None = None
    """How many tasks of its owner go before it; None where it is not in line, or nobody has counted."""
    nodes: tuple[NodeVerdict, ...] = ()
    """Every node that was heard."""


class NodeStanding(StrEnum):
    """How a node stands, in one word: what matters most."""

    ONLINE = "online"
    TROUBLE = "trouble"
    """It takes nothing, and its heartbeat says why."""
    ASIDE = "set aside"
    """Given nothing for a while: it kept failing what others finish."""
    CORDONED = "cordoned"
    DRAINING = "draining"
    DRAINED = "drained"
    OFFLINE = "offline"
    GONE = "gone"
    """Offline after saying so."""
    UNHEARD = "unheard"
    """Something is decided about it, and this leader has not heard it."""


class NodeView(Struct, frozen=True, kw_only=True):
    node: str
    online: bool
    heard_ago_s: float
    assigned: int
    """Rows that stand at this node."""
    heartbeat: Heartbeat
    standing: NodeStanding | None = None
    """None from a coordinator of an older version."""
    wishes: NodeWishes = NodeWishes()
    """What is decided about it at run time."""
    set_aside: str = ""
    """Why it is set aside, or was and is being tried with one task at a time."""
    set_aside_s: float = 0.0
    """For how long still; 0 while it is being tried."""


class UnheardNode(Struct, frozen=True, kw_only=True):
    """A node that was not heard and about which something is decided."""

    node: str
    wishes: NodeWishes
    assigned: int = 0
    """Rows that stand there all the same."""
    standing: NodeStanding = NodeStanding.UNHEARD


class NodesReply(Struct, frozen=True):
    nodes: tuple[NodeView, ...]
    unheard: tuple[UnheardNode, ...] = ()


class StoreUse(Struct, frozen=True):
    """How full one stream is."""

    stream: str
    used_bytes: int
    max_bytes: int
    """-1: none of its own; the server's store bounds it."""
    refused_ago_s: float | None = None
    """When the broker last refused this leader's write as full; None: not since it leads."""

    @property
    def share(self) -> float:
        """0 where it has no limit of its own."""
        return self.used_bytes / self.max_bytes if self.max_bytes > 0 else 0.0

    @property
    def is_refusing(self) -> bool:
        """Whether a write was refused lately: full by its own limit, the account's or the server's."""
        return self.refused_ago_s is not None and self.refused_ago_s < REFUSED_LATELY_S


class StatsReply(Struct, frozen=True, kw_only=True):
    """The cluster at a glance; at most a second old."""

    leader: str
    """The coordinator that answers."""
    epoch: int
    """Its term: higher with each change of leader."""
    states: dict[str, int]
    """Live tasks by state: queued, assigned, active, ending; 0 where there is none."""
    paused: int
    """Live tasks that are wished to pause; counted in `states` too."""
    inbox: int
    """Requests that are stored but not yet claimed."""
    oldest_queued_s: float | None
    """How long ago the oldest queued task was submitted; None where none is queued."""
    recent_s: int = RECENT_S
    """The length of the window that `recent` counts, up to now."""
    recent: dict[str, int]
    """Outcomes stored in that window, whoever led: completed, failed, cancelled, rejected."""
    outcomes: dict[str, int]
    """Outcomes this leader has seen since it leads."""
    nodes: int
    """Nodes that were heard, online or not."""
    nodes_online: int
    slots: int
    """Downloads that the online nodes can run at once."""
    running: int
    """Downloads they run now."""
    bytes_per_s: int
    """What they download now, together."""
    ignored_facts: int
    """Reports that changed nothing: repeats, and those of attempts long over."""
    undecodable: int
    """Messages that could not be read at all."""
    oddities: dict[str, int] = {}
    """What was passed over since this leader leads, by kind (`schemas.oddity`); 0 is left out."""
    stores: tuple[StoreUse, ...] = ()
    """How full the streams are; none from a coordinator of an older version."""
    cooling: dict[str, float] = {}
    """Origins (`host:port`) that asked to be left alone, and for how many seconds more nothing is begun from them."""


class PolicyReply(Struct, frozen=True, kw_only=True):
    """The cluster's policy as the leader follows it. An owner is shown the entries that concern them."""

    policy: dict[str, Any]
    """As the payload `policy`; what is left out is at its default."""
    revision: int
    """What a change must name; 0 where none was ever set."""
    strategies: tuple[str, ...]
    """Those that are installed where the leader runs."""
    problem: str = ""
    """Why the leader does not follow all that was set."""
    is_unreadable: bool = False
    """What was set can't be read whole: `policy` is what is known of it, or the last that could be read, or the
    defaults. Single fields can't be changed then."""


class PolicySet(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """policy-set: replace the whole policy. For operators."""

    policy: dict[str, Any]
    """As the payload `policy`."""
    revision: int
    """Of the one that this was made from: where another change came between, nothing is done."""
    deadline: datetime | None = None
    """Not carried out after this moment, as in `Steer`."""


class PolicySetReply(Struct, frozen=True, kw_only=True):
    ok: bool
    said: str
    """A sentence for people: what is wrong and what to do, where it was not set."""
    where: str = ""
    """The field at fault."""
    is_conflict: bool = False
    """Another change came between: read it, and decide again."""
    revision: int = 0
    """Of what stands now."""


class ErrorReply(Struct, frozen=True):
    error: str
