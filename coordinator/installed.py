"""Which strategies are installed: the built-in ones, and those that other packages register as entry points."""

from functools import cache
from importlib.metadata import entry_points

GROUP = "downdraft.strategies"
BUILT_IN = ("least-loaded", "round-robin", "bin-pack", "spread", "fastest-origin")


@cache
def names() -> tuple[str, ...]:
    """Every strategy that a policy may name here, the built-in ones first."""
    registered = sorted(entry.name for entry in entry_points(group=GROUP))
    return tuple(dict.fromkeys((*BUILT_IN, *registered)))
