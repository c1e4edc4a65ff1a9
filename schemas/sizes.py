"""Sizes in bytes: integers everywhere, with K, M, G and T of 1024 accepted where people type."""

import re

_SIZE = re.compile(r"(\d+)([KMGT]?)(?:i?B)?\Z", re.IGNORECASE)
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str | int) -> int:
    """Bytes in `text`. Raises ValueError when it is no size."""
    if isinstance(text, int):
        if text < 0:
            raise ValueError(f"a size can't be negative: {text}")
        return text
    found = _SIZE.match(text.strip())
    if found is None:
        raise ValueError(f"not a size: {text!r} (try 1048576, 500K, 20M or 1G)")
    return int(found[1]) * int(1024 ** _POWER[found[2].upper()])


def format_size(count: float) -> str:
    """`count` bytes for people: 3 significant digits and a unit of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"
