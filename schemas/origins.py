"""Which entry of a policy counts for an origin, and which origins a task has. Pure."""

from collections.abc import Container, Iterable

from schemas.redact import origin_of

OTHERS = "*"
"""Names every origin, and in a policy every owner, that has no entry of its own."""


def entry_for(origin: str, patterns: Container[str]) -> str | None:
    """The most exact of `patterns` that an origin (`host:port`) falls under; None where none does.

    `host:port` before `host`, before the longest `*.suffix` (which may name a port too), before `*`.
    """
    host = origin.rpartition(":")[0]
    for exact in (origin, host, host.strip("[]")):
        if exact in patterns:
            return exact
    if not host.startswith("["):
        port = origin[len(host) :]
        labels = host.split(".")
        for start in range(1, len(labels)):
            suffix = "*." + ".".join(labels[start:])
            for pattern in (suffix + port, suffix):
                if pattern in patterns:
                    return pattern
    return OTHERS if OTHERS in patterns else None


def origins_of(uris: Iterable[str]) -> frozenset[str]:
    """Every origin that a task's addresses name; those that can't be read name none."""
    found = set()
    for uri in uris:
        try:
            found.add(origin_of(uri))
        except ValueError:
            continue
    return frozenset(found)
