"""A task's row in the table: the one truth about where a live task stands."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from schemas.lifecycle import Desired, Outcome, State, Wish, after_leaving
from schemas.request import Request

HISTORY_MAX = 20
"""Attempts kept in a row, newest last: enough to explain a failure, bounded for the table."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ORIGIN_COOLS = "origin-cools"
"""The code of a row that is asked back because its origin wants to be left alone."""
SLOT_FREE = "slot-free"
"""The code of a row that is asked back from where it waits in line because another node has a free slot."""
UNLESS_BEGUN = frozenset({ORIGIN_COOLS, SLOT_FREE})
"""Codes of rows that are asked back lest they begin where they stand: what has begun goes on."""


class FailureClass(StrEnum):
    PERMANENT = "permanent"
    """Will fail the same way anywhere: ends the task."""
    TRANSIENT = "transient"
    """May succeed later: back off and try again."""
    NODE = "node"
    """This node's own trouble (disk, permissions): try another node."""
    DAMAGED = "damaged"
    """What is on disk can't be continued or is wrong: wipe, then try again."""


class AttemptRecord(Struct, frozen=True, omit_defaults=True):
    """How one attempt ended."""

    attempt: int
    node: str
    reason: str
    failure: FailureClass | None = None
    """None where the attempt was not at fault: a lost node, a release, a drain."""
    code: str = ""


MIRROR_URI_CHARS_MAX = 500
"""Of an address in an outcome: 64 of them must stay far below what the broker takes."""


class Mirror(Struct, frozen=True, omit_defaults=True):
    """What one of a task's addresses did for it."""

    uri: str
    """Without users, passwords and secret query values, at most MIRROR_URI_CHARS_MAX of it."""
    bytes: int | None = None
    """Received from there; None where nobody counted."""
    problem: str = ""
    """Why it was left out."""


class TaskRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One message of the TASKS stream."""

    task: str
    owner: str
    source: str
    """What the id was made from, kept so that another request with the same hex is noticed."""
    request: Request | None
    """None only for a request that was rejected."""
    state: State
    place: str
    attempt: int = 1
    failures: int = 0
    """Attempts that count against max_attempts."""
    recalls: int = 0
    """How often it was asked back before it had begun: attempts that count for nothing."""
    desired: Desired = Desired.RUN
    then: Desired = Desired.RUN
    """What is wished once it has left its node, where `desired` is a release: a paused task moves paused."""
    keep_partial: bool = False
    """Beside `cancel`: what has come of it by then is kept on its node, as `<name>.part`."""
    outcome: Outcome | None = None
    """Set while `ending`: the outcome this row was won for."""
    reason: str = ""
    """Why it ends, or why it went back to the queue."""
    code: str = ""
    delay_s: float = 0.0
    """Not placed before the row's store time plus this: broker time, whatever a coordinator's clock says."""
    size: int = 0
    """Bytes of the file, as a node that gave the task back had come to know them: what placing goes by."""
    avoid: tuple[str, ...] = ()
    """Nodes this task failed on."""
    history: tuple[AttemptRecord, ...] = ()
    order: int = 0
    """Among equals of one owner and priority the lowest goes first: when the inbox stored the request, in nanoseconds,
    unless somebody moved it. 0 in rows of older versions and of retries: `order_of` goes by `submitted` then."""
    submitted: datetime | None = None
    """When the inbox stored the request."""
    mirrors: tuple[Mirror, ...] = ()
    """While it ends `failed`: what each of its addresses did in the last attempt."""
    retry_of: str = ""
    instance: str = ""
    """Nonce of the node process it was placed on."""
    defaults: dict[str, str] = {}
    """aria2 options of the cluster's policy, as of when it was placed: below what its node and its request say."""
    limited: bool = False
    """It counts against a limit of its origin: a node that is cut off stops it before it is placed elsewhere."""
    writer: str = ""
    epoch: int = 0
    nonce: str = ""
    """Writer, term and a fresh nonce of this very write: how a writer knows its own write again."""

    @property
    def wish(self) -> Wish:
        """What is wished of it now, and once it has left its node."""
        return Wish(self.desired, self.then)

    @property
    def wish_elsewhere(self) -> Desired:
        """What is wished of it once it has left its node."""
        return after_leaving(self.desired, self.then)


class StoredRow(NamedTuple):
    """A row as it stands in the table."""

    sequence: int
    row: TaskRow
    stored_at: float
    """Unix seconds, the broker's clock."""


def order_of(row: TaskRow) -> int:
    """Where a task stands among the queued ones of its owner and priority: the lowest goes first, then by id."""
    if row.order or row.submitted is None:
        return row.order
    return (row.submitted - _EPOCH) // timedelta(microseconds=1) * 1000
