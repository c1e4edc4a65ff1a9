"""Which tasks are meant: the one filter of listings, of steering by condition, and of the gateway. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from schemas.lifecycle import FINISHED, Desired, Outcome, State
from schemas.redact import origin_of
from schemas.view import TaskView

VALUES_MAX = 100
"""Values of one kind: a filter is checked against every task of a listing."""
VALUE_CHARS_MAX = 321
"""The longest label: a name of 64, `=` and a value of 256."""
TEXT_CHARS_MAX = 256

Value = Annotated[str, Meta(min_length=1, max_length=VALUE_CHARS_MAX)]
Values = Annotated[tuple[Value, ...], Meta(max_length=VALUES_MAX)]
Moment = Annotated[datetime, Meta(tz=True)]


class Standing(StrEnum):
    """A state, or `paused`, which stands beside any live state: a task that is queued and paused is both."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDING = "ending"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


ENDED = frozenset(Standing(outcome) for outcome in Outcome)


class TaskFilter(Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """Conditions that must all hold; several values of one kind are alternatives, tags and labels must all be there.

    A condition that this version does not know is an error: passing it over would mean more tasks than were asked for.
    """

    states: Annotated[tuple[Standing, ...], Meta(max_length=len(Standing))] = ()
    tags: Values = ()
    labels: Values = ()
    """Each `name=value`, or `name` for any value."""
    owners: Values = ()
    nodes: Values = ()
    """Where a live task stands, or where a completed one's file lies."""
    origins: Values = ()
    """Each a `host`, a `host:port`, or `*.suffix` for all hosts below it; one of the task's addresses is there."""
    text: Annotated[str, Meta(max_length=TEXT_CHARS_MAX)] = ""
    """Found, whatever its case, in the id, the name, an address, the reason or the path."""
    since: Moment | None = None
    """Submitted, or once it has ended: finished, at this moment or later."""
    until: Moment | None = None
    """Submitted, or once it has ended: finished, before this moment."""

    @property
    def is_empty(self) -> bool:
        """Whether every task matches."""
        return self == TaskFilter()

    @property
    def needs_addresses(self) -> bool:
        """Whether a view must carry its addresses, and the name made of them, to be judged."""
        return bool(self.origins or self.text)

    @property
    def live_states(self) -> tuple[Standing, ...]:
        return tuple(state for state in self.states if state not in ENDED)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes a task may have: all, where no state is asked for."""
        return tuple(outcome for outcome in Outcome if not self.states or Standing(outcome) in self.states)

    @property
    def concerns_live(self) -> bool:
        """Whether a live task can match at all."""
        return not self.states or bool(self.live_states)

    def matches(self, view: TaskView) -> bool:
        """Whether this is one of the tasks that are meant."""
        return (
            (not self.states or any(stands(view, state) for state in self.states))
            and (not self.owners or view.owner in self.owners)
            and (not self.nodes or view.node in self.nodes)
            and all(tag in view.tags for tag in self.tags)
            and all(_has_label(view.labels, label) for label in self.labels)
            and self._in_time(view)
            and (not self.origins or _is_from(view.uris, self.origins))
            and (not self.text or _tells(view, self.text.casefold()))
        )

    def _in_time(self, view: TaskView) -> bool:
        if self.since is None and self.until is None:
            return True
        moment = view.finished if view.state in FINISHED else view.submitted
        return (
            moment is not None
            and (self.since is None or self.since <= moment)
            and (self.until is None or moment < self.until)
        )


def filter_of(**conditions: Any) -> TaskFilter:
    """A filter with its limits checked. Raises msgspec.ValidationError."""
    return msgspec.convert(conditions, TaskFilter)


def stands(view: TaskView, standing: Standing) -> bool:
    """Whether a task is in a state, or paused."""
    if standing is Standing.PAUSED:
        return view.desired is Desired.PAUSE and view.state not in FINISHED and view.state is not State.ENDING
    return str(view.state) == str(standing)


def _has_label(labels: dict[str, str], asked: str) -> bool:
    name, has_value, value = asked.partition("=")
    return name in labels and (not has_value or labels[name] == value)


def _is_from(uris: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    origins = {origin for uri in uris if (origin := _origin(uri))}
    return any(_is_origin(origin, pattern.lower()) for origin in origins for pattern in patterns)


def _origin(uri: str) -> str:
    try:
        return origin_of(uri)
    except ValueError:  # an event of some other program's making
        return ""


def _is_origin(origin: str, pattern: str) -> bool:
    """`origin` is always `host:port`, an IPv6 host in brackets."""
    host = origin.rpartition(":")[0]
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) or origin.endswith(pattern[1:])
    return pattern in (origin, host, host.strip("[]"))


def _tells(view: TaskView, text: str) -> bool:
    return any(text in told.casefold() for told in (view.task, view.name, view.reason, view.path, *view.uris))
