"""A limit divided by need: who needs less than an even part gets what it needs, the others share the rest evenly."""

from collections.abc import Mapping


def fill(limit: float, needs: Mapping[str, float]) -> dict[str, int]:
    """A part of `limit` for each need (`inf` for as much as there is), in whole bytes; never more in all."""
    parts: dict[str, int] = {}
    left = limit
    waiting = sorted(needs, key=lambda name: (needs[name], name))
    for index, name in enumerate(waiting):
        part = max(0, int(min(needs[name], left / (len(waiting) - index))))
        parts[name] = part
        left -= part
    return parts
