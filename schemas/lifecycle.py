"""The life of a task: one table. An illegal step raises and changes nothing.

    queued → assigned → active → completed
       ↑________|_________|            ending(failed | cancelled | rejected) before those outcomes

`paused` stands beside any live state: it is a wish (see `wish`), not a state of its own.
"""

from enum import StrEnum
from typing import NamedTuple

from schemas.errors import IllegalTransition


class State(StrEnum):
    __hash__ = str.__hash__  # that of enumerations is written in Python, which shows where a million rows are counted

    QUEUED = "queued"
    ASSIGNED = "assigned"
    ACTIVE = "active"
    ENDING = "ending"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Outcome(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Step(StrEnum):
    PLACE = "place"
    START = "start"
    REQUEUE = "requeue"
    """Back to the queue: a retryable failure, a lost node, a release or a drain."""
    END = "end"
    """The row is won for an outcome other than completed."""
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    REJECT = "reject"


LIVE = frozenset({State.QUEUED, State.ASSIGNED, State.ACTIVE})
FINISHED = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.REJECTED})

TABLE: dict[tuple[State, Step], State] = {
    (State.QUEUED, Step.PLACE): State.ASSIGNED,
    (State.QUEUED, Step.END): State.ENDING,
    # The first whole file wins, whichever attempt it came from: even one that was given away since.
    (State.QUEUED, Step.COMPLETE): State.COMPLETED,
    (State.ASSIGNED, Step.START): State.ACTIVE,
    (State.ASSIGNED, Step.REQUEUE): State.QUEUED,
    (State.ASSIGNED, Step.END): State.ENDING,
    (State.ASSIGNED, Step.COMPLETE): State.COMPLETED,
    # aria2 was restarted under it: the same attempt starts again.
    (State.ACTIVE, Step.START): State.ACTIVE,
    (State.ACTIVE, Step.REQUEUE): State.QUEUED,
    (State.ACTIVE, Step.END): State.ENDING,
    (State.ACTIVE, Step.COMPLETE): State.COMPLETED,
    # A completion that gets its event in before the other outcome's wins.
    (State.ENDING, Step.COMPLETE): State.COMPLETED,
    (State.ENDING, Step.FAIL): State.FAILED,
    (State.ENDING, Step.CANCEL): State.CANCELLED,
    (State.ENDING, Step.REJECT): State.REJECTED,
}


def advance(state: State, step: Step) -> State:
    """The state after `step`. Raises IllegalTransition where the table has no such step."""
    try:
        return TABLE[state, step]
    except KeyError:
        raise IllegalTransition(f"a task that is {state} can't {step}") from None


class Desired(StrEnum):
    """What is wished of a task; it lives in the row and the node makes its aria2 match it."""

    __hash__ = str.__hash__  # as above

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"
    RELEASE = "release"
    """Asked of a node, never by a user: give the task back so that it can move."""


class Wish(NamedTuple):
    """What is wished of a task now, and once it has left its node."""

    desired: Desired
    then: Desired = Desired.RUN
    """RUN or PAUSE. Beside a release: what is paused moves paused. Otherwise RUN, and it means nothing."""


_RUN, _PAUSE, _CANCEL = Wish(Desired.RUN), Wish(Desired.PAUSE), Wish(Desired.CANCEL)
_RELEASE, _RELEASE_PAUSED = Wish(Desired.RELEASE), Wish(Desired.RELEASE, then=Desired.PAUSE)

WISHES: dict[tuple[Wish, Desired], Wish] = {
    (_RUN, Desired.PAUSE): _PAUSE,
    (_RUN, Desired.CANCEL): _CANCEL,
    (_RUN, Desired.RELEASE): _RELEASE,
    (_PAUSE, Desired.RUN): _RUN,
    (_PAUSE, Desired.CANCEL): _CANCEL,
    (_PAUSE, Desired.RELEASE): _RELEASE_PAUSED,
    (_RELEASE, Desired.PAUSE): _RELEASE_PAUSED,
    (_RELEASE, Desired.CANCEL): _CANCEL,
    (_RELEASE_PAUSED, Desired.RUN): _RELEASE,
    (_RELEASE_PAUSED, Desired.CANCEL): _CANCEL,
}
"""Every wish that can stand in a row, with what may be asked of it."""


def wish(current: Wish, asked: Desired) -> Wish:
    """What is wished after `asked`. A cancel is final; a release ends only by leaving the node."""
    return WISHES.get((current, asked), current)


def after_leaving(desired: Desired, then: Desired = Desired.RUN) -> Desired:
    """What is wished of a task once it has left its node; the arguments as in `Wish`."""
    return then if desired is Desired.RELEASE else desired
