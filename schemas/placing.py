"""What the next leader must know of this one's placing: one value of the bucket, written by whoever leads."""

from typing import NamedTuple

from msgspec import Struct


class Entry(NamedTuple):
    """A queued row that a leader may be placing just now."""

    task: str
    sequence: int


class PlacingRecord(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Under `placing`."""

    epoch: int = 0
    """Of the term that wrote it: no earlier term takes it over."""
    term: str = ""
    """That term's own name, unique."""
    write: int = 0
    """Counts that term's writes: each is another text, so that a writer knows its own again."""
    unsettled: tuple[Entry, ...] = ()
    """Rows of origins or owners with a limit whose placing may be under way: written here before it is sent."""
    cooling: dict[str, float] = {}
    """Origins (`host:port`) from which nothing is begun before a moment of broker time, Unix seconds."""
