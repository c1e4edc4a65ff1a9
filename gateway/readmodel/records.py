"""A task as it is stored: a view of what lives, the outcome of what has ended. Pure."""

import time
from array import array
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.readmodel.changes import key_of, line_of, number_of
from gateway.readmodel.terms import queued_term, terms_of
from schemas.event import Cancelled, Completed, Failed, Rejected
from schemas.filter import Standing, stands
from schemas.lifecycle import FINISHED, State
from schemas.redact import redact_uri
from schemas.task import StoredRow
from schemas.view import TaskView, ended, view_of

TEXT_CHARS_MAX = 4096
"""Of the text in which a filter's text is looked for: a task may have a hundred addresses."""

_encode = msgspec.msgpack.Encoder().encode
_decode_view = msgspec.msgpack.Decoder(TaskView).decode
_decode_event: "msgspec.json.Decoder[Completed | Failed | Cancelled | Rejected]" = msgspec.json.Decoder(
    Completed | Failed | Cancelled | Rejected
)
_STATES = {f"finished.{state}": str(state) for state in FINISHED}


class Record(NamedTuple):
    """One line of the table `tasks`, in the order of its columns, but for its own number."""

    task: int
    owner: str
    state: str
    attempt: int
    key: int
    submitted: int | None
    """Its key while it lived; None where nobody saw it live."""
    sequence: int | None
    """Of its row; None once it has ended."""
    ended: int | None
    """The sequence of its outcome in the log."""
    name: str
    size: int
    priority: int
    line: str | None
    """Its place in line; None once it has ended."""
    terms: bytes
    text: str
    body: bytes
    """Of a live one its view; of one that has ended the outcome, as the log has it."""


class _Asked(Struct, frozen=True, gc=False):
    """What is looked at of a request."""

    uris: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    priority: int = 0


class _Outcome(Struct, frozen=True, gc=False):
    """What is looked at of an outcome: a third of the time that the whole of it takes."""

    type: str
    task: str
    owner: str
    time: datetime
    attempt: int = 0
    name: str = ""
    labels: dict[str, str] = {}
    request: _Asked | None = None
    uris: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    node: str = ""
    path: str = ""
    bytes: int = 0
    reason: str = ""


_decode_outcome = msgspec.json.Decoder(_Outcome).decode


def live_record(stored: StoredRow) -> Record | None:
    """A task that has a row; None where its id is none."""
    row = stored.row
    number = number_of(row.task)
    if number is None:
        return None
    # While it is stored, `due_in_s` is the moment itself.
    due_at = stored.stored_at + row.delay_s if row.state is State.QUEUED and row.delay_s > 0 else 0.0
    view = view_of(row, row.state, due_in_s=due_at)
    terms = terms_of(view, view.tags, view.state, view.uris, is_paused=stands(view, Standing.PAUSED))
    if view.state is State.QUEUED:
        terms.append(queued_term(view.priority))
    key = key_of(row.submitted or datetime.fromtimestamp(stored.stored_at, UTC), number)
    return Record(
        task=number,
        owner=view.owner,
        state=str(view.state),
        attempt=view.attempt,
        key=key,
        submitted=key,
        sequence=stored.sequence,
        ended=None,
        name=view.name,
        size=view.bytes,
        priority=view.priority,
        line=line_of(view.priority, view.order),
        terms=packed(terms),
        text=_text((view.task, view.name, view.reason, view.path, *view.uris)),
        body=_encode(view),
    )


def ended_record(body: bytes, sequence: int) -> Record | None:
    """A task that has ended; None where its id is none, or this is no outcome. Raises msgspec.MsgspecError."""
    told = _decode_outcome(body)
    number, state = number_of(told.task), _STATES.get(told.type)
    if number is None or state is None:
        return None
    request = told.request
    uris: Sequence[str] = told.uris if request is None else [redact_uri(uri) for uri in request.uris]
    tags = told.tags if request is None else request.tags
    return Record(  # by place: to name them takes as long as half of the rest
        number,
        told.owner,
        state,
        told.attempt,
        key_of(told.time, number),
        None,
        None,
        sequence,
        told.name,
        told.bytes,
        request.priority if request is not None else 0,
        None,
        packed(terms_of(told, tags, state, uris)),
        _text((told.task, told.name, told.reason, told.path, *uris)),
        body,
    )


def view_from(body: bytes, state: str, *, has_ended: bool) -> TaskView:
    """The task as it was stored, in the state that it is in now. Raises msgspec.MsgspecError."""
    if has_ended:
        return ended(_decode_event.decode(body))
    view = _decode_view(body)
    due_in_s = round(max(0.0, view.due_in_s - time.time()), 1) if view.due_in_s else 0.0
    return replace(view, state=State(state), due_in_s=due_in_s)


def packed(terms: Iterable[int]) -> bytes:
    return array("q", terms).tobytes()


def unpacked(terms: bytes) -> Sequence[int]:
    return array("q", terms)


def _text(told: tuple[str, ...]) -> str:
    """Where a filter's text is looked for."""
    return "\n".join(told).casefold()[:TEXT_CHARS_MAX]
