"""A task as it is stored: a view of what lives, the outcome of what has ended. Pure."""

import time
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from gateway.readmodel.changes import key_of, number_of
from schemas.event import Cancelled, Completed, Failed, Finished, Rejected
from schemas.lifecycle import State
from schemas.task import StoredRow
from schemas.view import TaskView, ended, view_of

TEXT_CHARS_MAX = 4096
"""Of the text in which a filter's text is looked for: a task may have a hundred addresses."""

_encode = msgspec.msgpack.Encoder().encode
_decode_view = msgspec.msgpack.Decoder(TaskView).decode
_decode_event: "msgspec.msgpack.Decoder[Completed | Failed | Cancelled | Rejected]" = msgspec.msgpack.Decoder(
    Completed | Failed | Cancelled | Rejected
)


class Record(NamedTuple):
    """One line of the table `tasks`, without its text."""

    number: int
    view: TaskView
    key: int
    submitted: int | None
    """Its key while it lived; None where nobody saw it live."""
    sequence: int | None
    """Of its row; None once it has ended."""
    ended: int | None
    """The sequence of its outcome in the log."""
    body: bytes


def live_record(stored: StoredRow) -> Record | None:
    """A task that has a row; None where its id is none."""
    row = stored.row
    number = number_of(row.task)
    if number is None:
        return None
    # While it is stored, `due_in_s` is the moment itself.
    due_at = stored.stored_at + row.delay_s if row.state is State.QUEUED and row.delay_s > 0 else 0.0
    view = view_of(row, row.state, due_in_s=due_at)
    key = key_of(row.submitted or datetime.fromtimestamp(stored.stored_at, UTC), number)
    return Record(number, view, key, key, stored.sequence, None, _encode(view))


def ended_record(event: Finished, sequence: int, submitted: int | None) -> Record | None:
    """A task that has ended; None where its id is none."""
    number = number_of(event.task)
    if number is None:
        return None
    return Record(number, ended(event), key_of(event.time, number), submitted, None, sequence, _encode(event))


def view_from(body: bytes, state: str, *, has_ended: bool) -> TaskView:
    """The task as it was stored, in the state that it is in now."""
    if has_ended:
        return ended(_decode_event.decode(body))
    view = _decode_view(body)
    due_in_s = round(max(0.0, view.due_in_s - time.time()), 1) if view.due_in_s else 0.0
    return replace(view, state=State(state), due_in_s=due_in_s)
