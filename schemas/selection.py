"""Which files of several are wanted: `select-file`, as aria2 writes it."""

import re

SELECTION_CHARS_MAX = 1000
FILE_NUMBER_MAX = 100_000
_RANGES = re.compile(r"[1-9][0-9]{0,5}(-[1-9][0-9]{0,5})?(,[1-9][0-9]{0,5}(-[1-9][0-9]{0,5})?)*")


def selected_files(text: str) -> tuple[tuple[int, int], ...]:
    """`1,3-5` as ranges of numbers from 1, both ends included; none for no text. Raises ValueError."""
    if not text:
        return ()
    if len(text) > SELECTION_CHARS_MAX or not _RANGES.fullmatch(text):
        raise ValueError(f"not a selection of files: {text[:40]!r}")
    ranges = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        ranges.append((int(first), int(last or first)))
    if any(not first <= last <= FILE_NUMBER_MAX for first, last in ranges):
        raise ValueError(f"not a selection of files: {text[:40]!r}")
    return tuple(ranges)
