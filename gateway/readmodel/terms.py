"""What a task is found by, as small numbers: its owner, state, node, tags, labels and origins. Pure.

Two terms may have one number, once in many billions: what they find is checked against the filter itself.
"""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b

from schemas.filter import ENDED, Standing, TaskFilter, stands
from schemas.lifecycle import State
from schemas.redact import origin_of
from schemas.view import TaskView

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


def state_terms(owner: str, state: State) -> tuple[int, int]:
    """What changes with the state alone."""
    return term("state", state), term("stands", f"{owner}\0{state}")


def terms_of(view: TaskView) -> set[int]:
    """Everything that a task is found by."""
    found = {term("owner", view.owner), *state_terms(view.owner, view.state)}
    if stands(view, Standing.PAUSED):
        found |= {term("state", Standing.PAUSED), term("stands", f"{view.owner}\0{Standing.PAUSED}")}
    if view.node:
        found.add(term("node", view.node))
    found.update(term("tag", tag) for tag in view.tags)
    for name, value in view.labels.items():
        found |= {term("label", name), term("label", f"{name}={value}")}
    for origin in {_origin(uri) for uri in view.uris[:ORIGINS_MAX]}:
        found.update(term("origin", pattern) for pattern in _patterns(origin))
    return found


def groups_of(where: TaskFilter) -> Groups:
    """What a task must be found by to match; times and text are another matter."""
    groups: Groups = []
    if where.states and where.owners:
        groups.append([term("stands", f"{owner}\0{state}") for owner in where.owners for state in where.states])
    elif where.states or where.owners:
        groups.append([term("state", state) for state in where.states] + [term("owner", one) for one in where.owners])
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


def text_of(view: TaskView) -> str:
    """Where a filter's text is looked for."""
    return "\n".join((view.task, view.name, view.reason, view.path, *view.uris)).casefold()


def has_ended(state: str) -> bool:
    return state in ENDED


@lru_cache(TERMS_CACHED)
def _patterns(origin: str) -> tuple[str, ...]:
    return tuple(_each_pattern(origin))


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
