"""What stands under keys of the bucket, as one who hears and reads them knows it. Pure."""

from collections.abc import Mapping
from typing import NamedTuple


class Found(NamedTuple):
    """A value as it stands."""

    body: bytes
    revision: int
    """Its sequence in the bucket's stream: what a change of it must name."""


Changes = Mapping[str, Found | None]
"""What has changed, by key; None where a value is gone."""


_NONE = Found(b"", 0)


def present(found: Found | None) -> Found | None:
    """None for a value that was taken away, too."""
    return found if found is not None and found.body else None


class Following:
    """What a follower knows of its keys. Pure: it is told what was heard and what was read, and says what changed."""

    def __init__(self) -> None:
        self._known: dict[str, Found] = {}
        """The newest of each key; an empty body where the value was taken away."""
        self._older: dict[str, int] = {}
        """Keys that a reading showed older than known, and how old."""

    def __repr__(self) -> str:
        return f"<Following {len(self._known)} keys>"

    def heard(self, key: str, found: Found) -> Changes:
        """A value that was stored just now."""
        if (known := self._known.get(key)) is not None and found.revision <= known.revision:
            return {}
        return self._take(key, found)

    def has_read(self, values: Mapping[str, Found]) -> Changes:
        """A whole reading of the keys.

        What it shows older than known is believed when the next reading says the same: a replica may lag, and a value
        may be heard while others are read; but a bucket that was made anew counts from the beginning.
        """
        changes: dict[str, Found | None] = {}
        older: dict[str, int] = {}
        for key in values.keys() | self._known.keys():
            found, known = values.get(key, _NONE), self._known.get(key, _NONE)
            if found.revision < known.revision and self._older.get(key) != found.revision:
                if known.body or found.body:
                    older[key] = found.revision
            elif found != known:
                changes |= self._take(key, found)
        self._older = older
        return changes

    def _take(self, key: str, found: Found) -> Changes:
        before = self._known.get(key, _NONE)
        self._known[key] = found
        return {key: present(found)} if found.body or before.body else {}
