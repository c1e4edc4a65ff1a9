"""What a task's row becomes: one pure function for each thing that can happen to it.

Each goes through the lifecycle table, so an illegal step raises and nothing is written.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace

from coordinator import retries
from schemas.event import QUEUE_LIMIT, AttemptFailed
from schemas.ids import QUEUED
from schemas.lifecycle import Desired, Outcome, State, Step, advance, wish
from schemas.request import URIS_MAX, Request
from schemas.settings import CoordinatorSettings
from schemas.task import (
    HISTORY_MAX,
    MIRROR_URI_CHARS_MAX,
    ORIGIN_COOLS,
    SLOT_FREE,
    UNLESS_BEGUN,
    AttemptRecord,
    FailureClass,
    TaskRow,
)

REASON_CHARS_MAX = 500
"""Of what a node says, so much is kept in the row: twenty of them must not make it too large to be written."""
CODE_CHARS_MAX = 64
MOVED_TOO_OFTEN = "moved-too-often"
NO_DEFAULTS: Mapping[str, str] = MappingProxyType({})
ASKED_BACK = {
    ORIGIN_COOLS: "its origin wants to be left alone for a while",
    SLOT_FREE: "it waited in line while another node had a free slot",
}
"""Why a task is asked back lest it begin where it stands, by the code that its row has then."""


class End(NamedTuple):
    """The task ends: win the row for this outcome, then write its event."""

    row: TaskRow


class Requeue(NamedTuple):
    """The task leaves its node."""

    row: TaskRow
    counted: bool
    """Whether the attempt counts against max_attempts."""


def claimed(
    *, task: str, owner: str, source: str, request: Request, submitted: datetime, retry_of: str = "", order: int = 0
) -> TaskRow:
    """The first row of a task. A `not_before` becomes a delay from the moment it was stored, `paused` a wish.

    `order`: its place among equals; 0: as it was submitted.
    """
    delay_s = max(0.0, (request.not_before - submitted).total_seconds()) if request.not_before else 0.0
    return TaskRow(
        task=task,
        owner=owner,
        source=source,
        request=request,
        state=State.QUEUED,
        place=QUEUED,
        submitted=submitted,
        delay_s=delay_s,
        desired=Desired.PAUSE if request.paused else Desired.RUN,
        order=order,
        retry_of=retry_of,
    )


def refused(*, task: str, owner: str, source: str, where: str, reason: str, submitted: datetime) -> TaskRow:
    """The first and only row of a request that can't be accepted."""
    return TaskRow(
        task=task,
        owner=owner,
        source=source,
        request=None,
        state=State.ENDING,
        outcome=Outcome.REJECTED,
        place=QUEUED,
        reason=reason,
        code=where,
        submitted=submitted,
    )


def too_many(row: TaskRow, limit: int) -> TaskRow:
    """What becomes of the first row of a good request whose owner has `limit` tasks waiting already.

    It keeps its id, so that of two leaders who judge it differently one prevails; and its request, so that it can be
    retried.
    """
    waiting = f"{limit} task{'' if limit == 1 else 's'} waiting already" if limit else "none waiting"
    reason = (
        f"{row.owner} has {waiting}, and the policy allows no more: submit it again, or `downdraft retry` it, when "
        f"fewer wait; an operator may raise the limit: downdraft policy set --owner {row.owner} queued=…"
    )
    state = advance(row.state, Step.END)
    return replace(row, state=state, outcome=Outcome.REJECTED, reason=reason, code=QUEUE_LIMIT, delay_s=0.0)


def placed(
    row: TaskRow, node: str, instance: str, *, limited: bool = False, defaults: Mapping[str, str] = NO_DEFAULTS
) -> TaskRow:
    """`limited`: an origin of it has a limit on what runs at once; `defaults`: aria2 options of the policy."""
    return replace(
        row,
        state=advance(row.state, Step.PLACE),
        place=node,
        instance=instance,
        limited=limited,
        defaults=dict(defaults),
        delay_s=0.0,
        reason="",
        code="",
    )


def ended(row: TaskRow, outcome: Outcome, reason: str, code: str = "") -> End:
    return End(replace(row, state=advance(row.state, Step.END), outcome=outcome, reason=reason, code=code))


def given_back(row: TaskRow, reason: str, size: int | None = None, *, delay_s: float = 0.0) -> Requeue | End:
    """The node released it, is leaving, or is lost: the attempt does not count against the task.

    `size`: the file's, in bytes, where the node came to know it; `delay_s`: how long the task waits before it is placed
    again.
    """
    reason = reason[:REASON_CHARS_MAX]
    if row.desired is Desired.CANCEL:
        return _cancelled(row, reason if row.keep_partial else "")
    record = AttemptRecord(row.attempt, row.place, reason)
    if moved(row) + 1 >= retries.MOVES_MAX:
        kept = replace(row, history=_history(row, record))
        said = f"{reason} (moved {retries.MOVES_MAX} times: it may be what its nodes are lost by)"
        return ended(kept, Outcome.FAILED, said, MOVED_TOO_OFTEN)
    left = _left(row, record, reason=reason)
    return Requeue(replace(left, delay_s=delay_s, size=size or row.size), counted=False)


def moved(row: TaskRow) -> int:
    """How often it left a node at no fault of its own."""
    return row.attempt - 1 - row.failures - row.recalls


def lost(row: TaskRow, settings: CoordinatorSettings, dice: float) -> Requeue | End:
    """Its node is silent. `dice` is a random number from 0 to 1."""
    delay_s = retries.after_loss_s(moved(row), settings, dice)
    return given_back(row, f"node {row.place} was lost", delay_s=delay_s)


def attempt_failed(row: TaskRow, fact: AttemptFailed, settings: CoordinatorSettings, dice: float) -> Requeue | End:
    """What follows a failed attempt: the end, or the queue after a back-off with full jitter.

    `dice` is a random number from 0 to 1.
    """
    if row.desired is Desired.CANCEL:
        return _cancelled(row)
    fact = replace(fact, reason=fact.reason[:REASON_CHARS_MAX], code=fact.code[:CODE_CHARS_MAX])
    record = AttemptRecord(row.attempt, fact.node, fact.reason, fact.failure, fact.code)
    failures = row.failures + 1
    asked = row.request.max_attempts if row.request else None
    allowed = asked or settings.max_attempts
    final = ""
    if fact.failure is FailureClass.PERMANENT:
        final = fact.reason or "it failed for good"
    elif failures >= allowed:
        final = f"{fact.reason} (attempt {failures} of {allowed})"
    elif retries.is_used_up(fact, row.history):
        final = f"{fact.reason} (after {retries.policy_of(fact.failure, fact.code).tries_max} such tries)"
    if final:
        mirrors = tuple(
            replace(one, uri=one.uri[:MIRROR_URI_CHARS_MAX], problem=one.problem[:REASON_CHARS_MAX])
            for one in fact.mirrors[:URIS_MAX]
        )
        kept = replace(row, failures=failures, history=_history(row, record), mirrors=mirrors)
        return ended(kept, Outcome.FAILED, final, fact.code)

    delay_s = max(0.0, retries.back_off_s(fact, row.failures, settings, dice))
    left = _left(row, record, reason=fact.reason)
    avoid = row.avoid if fact.node in row.avoid else (*row.avoid, fact.node)
    size = fact.size or row.size
    left = replace(left, failures=failures, delay_s=delay_s, avoid=avoid, code=fact.code, size=size)
    return Requeue(left, counted=True)


def wished(row: TaskRow, asked: Desired, *, waited_s: float = 0.0) -> TaskRow | End | None:
    """What a wish makes of a row: a changed row, the end, or None where nothing changes.

    `waited_s` is the row's age: a delay counts from its store time, and the changed row is stored anew.
    """
    if row.state not in (State.QUEUED, State.ASSIGNED):
        return None
    if asked is Desired.CANCEL and row.state is State.QUEUED:
        return _cancelled(row)
    if asked is Desired.RELEASE and row.state is not State.ASSIGNED:
        return None
    changed = wish(row.wish, asked)
    if changed == row.wish:
        return None
    return replace(row, desired=changed.desired, then=changed.then, delay_s=_delay_left(row, waited_s))


def prioritised(row: TaskRow, priority: int | None, order: int | None, *, waited_s: float = 0.0) -> TaskRow | None:
    """The row with another priority, and while it is queued another order; None where nothing changes.

    `waited_s`: as for `wished`.
    """
    request = row.request
    if request is None or row.state not in (State.QUEUED, State.ASSIGNED):
        return None
    if priority is not None and priority != request.priority:
        request = replace(request, priority=priority)
    if order is None or row.state is not State.QUEUED:
        order = row.order
    if request is row.request and order == row.order:
        return None
    return replace(row, request=request, order=order, delay_s=_delay_left(row, waited_s))


def with_options(row: TaskRow, options: Mapping[str, str], *, waited_s: float = 0.0) -> TaskRow | None:
    """The row of a task whose request says these aria2 options, too; None where nothing changes.

    `waited_s`: as for `wished`.
    """
    request = row.request
    if request is None or row.state not in (State.QUEUED, State.ASSIGNED):
        return None
    request = replace(request, options={**request.options, **options})
    if request == row.request:
        return None
    return replace(row, request=request, delay_s=_delay_left(row, waited_s))


def _delay_left(row: TaskRow, waited_s: float) -> float:
    return max(0.0, row.delay_s - max(0.0, waited_s))


def overdue(row: TaskRow) -> TaskRow | End | None:
    """The deadline has passed: a queued task fails, a running one is called back to fail."""
    reason = "the deadline has passed"
    if row.state is State.QUEUED:
        return ended(row, Outcome.FAILED, reason, "deadline")
    if row.state is State.ASSIGNED and row.desired is not Desired.CANCEL:
        return replace(row, desired=Desired.CANCEL, then=Desired.RUN, reason=reason, code="deadline")
    return None


def due_at_once(row: TaskRow) -> TaskRow | None:
    """`retry` of a task that waits for its next try; None where it does not wait."""
    if row.state is not State.QUEUED or row.delay_s <= 0:
        return None
    return replace(row, delay_s=0.0)


def asked_back(row: TaskRow, code: str = ORIGIN_COOLS) -> TaskRow | None:
    """The node is to give it back unless it has begun, for one of the reasons ASKED_BACK. None: nothing to ask."""
    if row.desired is not Desired.RUN or row.state is not State.ASSIGNED:
        return None
    change = wished(row, Desired.RELEASE)
    assert isinstance(change, TaskRow)
    return replace(change, code=code, reason=ASKED_BACK[code])


def emptied(row: TaskRow, reason: str) -> TaskRow | None:
    """Its node is being drained, for an operator's `reason`: it is to give the task back. None: nothing to ask."""
    change = wished(row, Desired.RELEASE)
    if not isinstance(change, TaskRow):
        return None
    said = f"{row.place} is being drained{f': {reason}' if reason else ''}"
    return replace(change, reason=said[:REASON_CHARS_MAX])


def called_in(row: TaskRow) -> TaskRow | None:
    """Its node is not heard: asked back, begun or not. None: nothing to ask, for it does not run there."""
    if row.state is not State.ASSIGNED or (row.desired is not Desired.RUN and row.code not in UNLESS_BEGUN):
        return None
    change = wished(row, Desired.RELEASE) or row
    assert isinstance(change, TaskRow)
    return replace(change, code="", reason=f"node {row.place} is not heard")


def goes_on(row: TaskRow) -> TaskRow | None:
    """It had begun before its node heard that it was asked back by `asked_back`; None for any other row."""
    if row.code not in UNLESS_BEGUN or row.desired is not Desired.RELEASE or row.state is not State.ASSIGNED:
        return None
    return replace(row, desired=row.wish_elsewhere, then=Desired.RUN, code="", reason="")


def came_back(row: TaskRow, size: int | None = None) -> Requeue | End:
    """A node gave back what it was asked for by `asked_back`: that is no move, and nothing to remember."""
    if row.desired is Desired.CANCEL:
        return _cancelled(row)
    left = replace(_left(row, None, reason=row.reason), recalls=row.recalls + 1, size=size or row.size)
    return Requeue(left, counted=False)


def cut(row: TaskRow) -> int:
    """How many attempts the history does not tell of any more."""
    return row.history[0].attempt - 1 if row.history else 0


def _cancelled(row: TaskRow, told: str = "") -> End:
    """`told`: what its node says of it."""
    if row.code == "deadline":
        record = AttemptRecord(row.attempt, row.place, row.reason)
        return ended(replace(row, history=_history(row, record)), Outcome.FAILED, row.reason, row.code)
    return ended(row, Outcome.CANCELLED, f"cancelled as asked{f': {told}' if told else ''}")


def _left(row: TaskRow, record: AttemptRecord | None, *, reason: str) -> TaskRow:
    """The row as it leaves a node: the attempt rises here and nowhere else. `record`: for its history."""
    return replace(
        row,
        state=advance(row.state, Step.REQUEUE),
        place=QUEUED,
        attempt=row.attempt + 1,
        desired=row.wish_elsewhere,
        then=Desired.RUN,
        instance="",
        limited=False,
        defaults={},
        reason=reason,
        code="",
        delay_s=0.0,
        history=_history(row, record) if record else row.history,
    )


def _history(row: TaskRow, record: AttemptRecord) -> tuple[AttemptRecord, ...]:
    return (*row.history, record)[-HISTORY_MAX:]
