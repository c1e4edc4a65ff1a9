"""Sizes in bytes: integers everywhere, with K, M, G and T of 1024 accepted where people type."""

import re

SIZE_MAX = (1 << 63) - 1
"""What fits a signed 64-bit integer, and so any reader of our JSON."""

_SIZE = re.compile(r"(\d{1,19})([KMGT]?)(?:i?B)?\Z", re.IGNORECASE | re.ASCII)
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str | int) -> int:
    """Bytes in `text`. Raises ValueError when it is no size."""
    if isinstance(text, int):
        if text < 0:
            raise ValueError(f"a size can't be negative: {text}")
        return _bounded(text)
    found = _SIZE.match(text.strip())
    if found is None:
        raise ValueError(f"not a size: {text!r} (try 1048576, 500K, 20M or 1G)")
    return _bounded(int(found[1]) * int(1024 ** _POWER[found[2].upper()]))


def _bounded(size: int) -> int:
    if size > SIZE_MAX:
        raise ValueError(f"a size can't be above {SIZE_MAX} bytes")
    return size


def format_size(count: float) -> str:
    """`count` bytes for people: 3 significant digits and a unit of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{_short(count)} {unit}"
        count /= 1024
    return f"{_short(count)} TiB"


def _short(count: float) -> str:
    # From 999.5 on, `.3g` would write 1e+03.
    return f"{count:.0f}" if abs(count) >= 100 else f"{count:.3g}"
