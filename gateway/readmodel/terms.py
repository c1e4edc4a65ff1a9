"""What a task is found by, as small numbers: its owner, state, node, tags, labels and origins. Pure.

Two terms may have one number, once in many billions: what they find is checked against the filter itself.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

from schemas.filter import Standing, TaskFilter
from schemas.redact import origin_of

TERMS_CACHED = 50_000
"""Owners, tags, hosts come again and again."""
ORIGINS_MAX = 16
"""Of a task with more addresses only the first are looked up at once; a filter by origin finds it by those."""
SUFFIXES_MAX = 6
"""Domains above a host that it is found under."""

Groups = list[list[int]]
"""Each group is one condition; any of its terms fulfils it."""


@lru_cache(TERMS_CACHED)
def term(kind: str, value: str) -> int:
    """A signed number of 64 bits."""
    return int.from_bytes(blake2b(f"{kind}\0{value}".encode(errors="replace"), digest_size=8).digest(), signed=True)


def queued_term(priority: int) -> int:
    """What queued tasks of one priority are counted by."""
    return term("queued", str(priority))


class Traits(Protocol):
    """What a task is found by: a view of it, or what an outcome tells."""

    @property
    def owner(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def labels(self) -> dict[str, str]: ...


def terms_of(
    task: Traits, tags: Sequence[str], state: str, uris: Sequence[str], *, is_paused: bool = False
) -> list[int]:
    """Everything that a task is found by; some of it perhaps twice."""
    found = [term("owner", task.owner), term("state", state)]
    if is_paused:
        found.append(term("state", Standing.PAUSED))
    if task.node:
        found.append(term("node", task.node))
    found += [term("tag", tag) for tag in tags]
    for name, value in task.labels.items():
        found += _label(name, value)
    for uri in uris[:ORIGINS_MAX]:
        found += _patterns(_origin(uri))
    return found


def groups_of(where: TaskFilter) -> Groups:
    """What a task must be found by to match; times and text are another matter."""
    groups: Groups = []
    if where.states:
        groups.append([term("state", state) for state in where.states])
    if where.owners:
        groups.append([term("owner", owner) for owner in where.owners])
    if where.nodes:
        groups.append([term("node", node) for node in where.nodes])
    groups.extend([term("tag", tag)] for tag in where.tags)
    groups.extend([term("label", label)] for label in where.labels)
    if where.origins:
        groups.append([term("origin", pattern.lower()) for pattern in where.origins])
    return groups


def is_counted(where: TaskFilter) -> bool:
    """Whether the running counts answer it: by owner and by state, but not by `paused`, which stands beside others."""
    return where == TaskFilter(states=where.states, owners=where.owners) and Standing.PAUSED not in where.states


@lru_cache(TERMS_CACHED)
def _label(name: str, value: str) -> tuple[int, int]:
    return term("label", name), term("label", f"{name}={value}")


@lru_cache(TERMS_CACHED)
def _patterns(origin: str) -> tuple[int, ...]:
    return tuple(term("origin", pattern) for pattern in _each_pattern(origin))


def _each_pattern(origin: str) -> Iterator[str]:
    """What `origin`, always `host:port`, may be asked for as."""
    if not origin:
        return
    host, _, port = origin.rpartition(":")
    yield from {origin, host, host.strip("[]")}
    parts = host.split(".")
    for start in range(max(1, len(parts) - SUFFIXES_MAX), len(parts)):
        suffix = ".".join(parts[start:])
        yield from (f"*.{suffix}", f"*.{suffix}:{port}")


def _origin(uri: str) -> str:
    try:
        return origin_of(uri)
    except ValueError:  # an event of some other program's making
        return ""
