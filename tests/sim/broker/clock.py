"""The server's time: the loop's clock counted from a fixed day, and the store times made of it."""

import asyncio
from datetime import UTC, datetime

NS = 10**9
EPOCH_NS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * NS
NEVER = "0001-01-01T00:00:00Z"
"""How the server writes a moment that was not yet."""


class ServerClock:
    """Time as one server sees it."""

    def __init__(self, epoch_ns: int = EPOCH_NS) -> None:
        self._epoch_ns = epoch_ns
        """When the loop's clock showed zero."""
        self.offset_s = 0.0
        """How far this server's clock is ahead of everyone's."""

    def now_ns(self) -> int:
        return self._epoch_ns + round((asyncio.get_running_loop().time() + self.offset_s) * NS)

    def loop_time(self, at_ns: int) -> float:
        """When the loop's clock shows that moment."""
        return (at_ns - self._epoch_ns) / NS - self.offset_s


def written(at_ns: int) -> str:
    """RFC 3339 with nanoseconds, as the server writes moments."""
    if not at_ns:
        return NEVER
    return f"{datetime.fromtimestamp(at_ns // NS, UTC):%Y-%m-%dT%H:%M:%S}.{at_ns % NS:09d}Z"
