"""Which origins a report says are to be left alone, and until when. Pure."""

from typing import NamedTuple

from coordinator.retries import RETRY_AFTER_MAX_S
from coordinator.wants import origins_of
from schemas.event import AttemptFailed, Event
from schemas.task import TaskRow

ASKS_TO_WAIT = frozenset({"http-429", "http-503"})
"""Refusals with which an origin says when it may be asked again (RFC 9110, 10.2.3; RFC 6585, 4)."""


class Cooling(NamedTuple):
    origins: frozenset[str]
    until: float
    """Broker time, Unix seconds."""


def asked_for(fact: Event, row: TaskRow | None, stored_at: float) -> Cooling | None:
    """What a fact says of its task's origins; None where none of them asked for time.

    `row`: the task's, whichever stands; without one nobody knows which origins it has. `stored_at`: when the broker
    stored the fact.
    """
    if not isinstance(fact, AttemptFailed) or fact.code not in ASKS_TO_WAIT or not fact.retry_after_s:
        return None
    if row is None or row.request is None:
        return None
    origins = frozenset(origins_of(row.request))
    named = frozenset((fact.origin,)) & origins
    wait_s = min(max(0.0, fact.retry_after_s), RETRY_AFTER_MAX_S)
    return Cooling(named or origins, stored_at + wait_s)
