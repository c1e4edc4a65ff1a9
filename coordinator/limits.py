"""What the whole cluster may download in a second now, and what is known of those who do. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from schemas.heartbeat import ALL, Heartbeat
from schemas.origins import entry_for
from schemas.policy import Policy
from schemas.windows import limit_at

_HAS_PORT = re.compile(r":\d+\Z")

TOTAL = ALL
"""Stands for all downloads where else an origin is named."""


class Limits(Struct, frozen=True):
    """What the whole cluster may download in a second now."""

    total: int | None = None
    origins: Mapping[str, int] = {}
    """By entry of the policy, for each origin that falls under it; 0 for no limit where a wider entry has one."""

    def __bool__(self) -> bool:
        return self.total is not None or any(self.origins.values())

    def of(self, origin: str) -> int | None:
        """What may come from an origin (`host:port`); None for no limit."""
        entry = entry_for(origin, self.origins)
        return (self.origins[entry] or None) if entry is not None else None


def limits_at(policy: Policy, moment: datetime) -> Limits:
    """The limits of a policy at a moment, judged in its time zone."""
    total = limit_at(policy.windows, moment.astimezone(ZoneInfo(policy.time_zone))) if policy.bandwidth else None
    limited = {entry: one.bytes_per_s for entry, one in policy.origins.items() if isinstance(one.bytes_per_s, int)}
    ports = _ports(limited)
    excepted = [
        entry
        for entry in policy.origins
        if entry not in limited and any(entry_for(origin, limited) for origin in _examples(entry, ports))
    ]
    return Limits(total, limited | dict.fromkeys(excepted, 0))


def _ports(entries: Iterable[str]) -> Mapping[str, list[str]]:
    """The ports that entries `*.suffix:port` name, by `*.suffix`."""
    found = defaultdict(list)
    for entry in entries:
        if entry.startswith("*.") and _HAS_PORT.search(entry):
            suffix, _, port = entry.rpartition(":")
            found[suffix].append(port)
    return found


def _examples(entry: str, ports: Mapping[str, list[str]]) -> Iterator[str]:
    """Origins that fall under an entry: one for each port of a wider one in `ports`, and one of a port of its own."""
    host = entry.replace("*", "any", 1)
    if _HAS_PORT.search(host):
        yield host
        return
    yield f"{host}:0"
    labels = host.split(".")
    for start in range(1, len(labels)):
        for port in ports.get("*." + ".".join(labels[start:]), ()):
            yield f"{host}:{port}"


class Member(Struct, frozen=True, kw_only=True):
    """A node as its heartbeats and the table show it."""

    beat: Heartbeat
    silent_s: float = 0.0
    tasks: int = 0
    """That stand there."""
    origins: Mapping[str, int] = {}
    """How many of them are from each origin that has a limit."""

    @property
    def is_running(self) -> bool:
        return self.tasks > 0 or self.beat.running > 0
