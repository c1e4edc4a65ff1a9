"""A row in little memory: a few figures of it, then its JSON, in one piece. Pure.

A million rows as structs are a few gigabytes and ten million objects for the garbage collector to look at; these are
a third of a kilobyte each, and none of its business.
"""

import struct
from datetime import datetime
from typing import Final, NamedTuple

from schemas import codec
from schemas.ids import QUEUED
from schemas.lifecycle import Desired, State
from schemas.task import StoredRow, TaskRow

Packed = bytes
Entry = Packed | StoredRow
"""A row as the book keeps it: packed where nothing is done with it for long, as it is where it stands at a node."""

_HEAD: Final = struct.Struct("<QdqBB?")
_STATES: Final = tuple(State)
_WISHES: Final = tuple(Desired)
_STATE_NUMBERS: Final = {state: number for number, state in enumerate(_STATES)}
_WISH_NUMBERS: Final = {wish: number for number, wish in enumerate(_WISHES)}


class Outline(NamedTuple):
    """What is asked of many rows at once."""

    place: str
    state: State
    wish: Desired
    """What is wished of it, or will be once it has left its node."""
    submitted_us: int
    """Unix microseconds; 0 where it is not known."""
    deadline: float | None
    """Unix seconds."""


def kept(stored: StoredRow, about: Outline, body: bytes = b"") -> Entry:
    """A row as the book keeps it; `about` is its outline, `body` its JSON where that is at hand."""
    if about.place != QUEUED:
        return stored
    head = _HEAD.pack(
        stored.sequence,
        stored.stored_at,
        about.submitted_us,
        _STATE_NUMBERS[about.state],
        _WISH_NUMBERS[about.wish],
        about.deadline is not None,
    )
    return head + (body or codec.encode(stored.row))


def unpacked(entry: Entry) -> StoredRow:
    """The whole row: some microseconds for a packed one."""
    if isinstance(entry, StoredRow):
        return entry
    sequence, stored_at, *_ = _HEAD.unpack_from(entry)
    return StoredRow(sequence, codec.decode(entry[_HEAD.size :], TaskRow), stored_at)


def sequence_of(entry: Entry) -> int:
    return entry.sequence if isinstance(entry, StoredRow) else int.from_bytes(entry[:8], "little")


def place_of(entry: Entry) -> str:
    return entry.row.place if isinstance(entry, StoredRow) else QUEUED


def restamped(entry: Entry, stored_at: float) -> Entry:
    """The same row with another store time; the same object where it is no other."""
    if isinstance(entry, StoredRow):
        return entry if entry.stored_at == stored_at else entry._replace(stored_at=stored_at)
    sequence, known, *rest = _HEAD.unpack_from(entry)
    return entry if known == stored_at else _HEAD.pack(sequence, stored_at, *rest) + entry[_HEAD.size :]


def outline(entry: Entry) -> Outline:
    """Without looking at the JSON, unless there is a deadline in it."""
    if isinstance(entry, StoredRow):
        row = entry.row
        return Outline(row.place, row.state, row.wish_elsewhere, microseconds(row.submitted), _deadline(row))
    _, _, submitted_us, state, wish, has_deadline = _HEAD.unpack_from(entry)
    deadline = _deadline(unpacked(entry).row) if has_deadline else None
    return Outline(QUEUED, _STATES[state], _WISHES[wish], submitted_us, deadline)


def submitted_us(entry: Entry) -> int:
    """When the inbox stored its request, in Unix microseconds; 0 where it is not known."""
    return microseconds(entry.row.submitted) if isinstance(entry, StoredRow) else _HEAD.unpack_from(entry)[2]


def microseconds(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1_000_000) if moment is not None else 0


def _deadline(row: TaskRow) -> float | None:
    return row.request.deadline.timestamp() if row.request and row.request.deadline else None
