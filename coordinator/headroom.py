"""Room in the table: claiming stops before it is full, for a full table could not even move a row."""

import anyio
import structlog

from broker.errors import StoreFull
from coordinator.term import Term
from schemas import subjects as s

log = structlog.get_logger()

FULL_SHARE = 0.8
"""Claiming stops at this share of TASKS."""
LOOK_EVERY_S = 5.0
ROW_EXTRA_BYTES = 1024
"""What a row has beyond its request, with the broker's own part: about so much."""


class Headroom:
    """How much may still be claimed: looked up now and then, and spent in between."""

    def __init__(self, term: Term) -> None:
        self._term = term
        self._left: float = 0.0
        self._in_hand = 0
        """Bytes of what is being claimed: the broker may not have it yet."""
        self._looked_at = -LOOK_EVERY_S

    def __repr__(self) -> str:
        return f"<Headroom {self._left:g} bytes>"

    async def wait(self) -> None:
        """Return when there is some. Raises Unanswered."""
        while self._left <= 0 or anyio.current_time() - self._looked_at >= LOOK_EVERY_S:
            if await self.look() > 0:
                return
            await anyio.sleep(LOOK_EVERY_S)

    async def look(self) -> float:
        """Ask the broker how many bytes are left. Raises Unanswered."""
        info = await self._term.connection.api(f"STREAM.INFO.{s.TASKS_STREAM}")
        limit, used = info["config"]["max_bytes"], info["state"]["bytes"]
        self._left = FULL_SHARE * limit - used - self._in_hand if limit > 0 else float("inf")
        self._looked_at = anyio.current_time()
        if self._left <= 0:
            log.warning("the table is nearly full, claiming waits", used_bytes=used, limit_bytes=limit)
        return self._left

    def spend(self, request_bytes: int) -> StoreFull | None:
        """Take room for one request, or say that there is none: a burst of large ones outruns any timer."""
        row_bytes = request_bytes + ROW_EXTRA_BYTES
        if self._left < row_bytes:
            return StoreFull("the table is nearly full, claiming waits")
        self._left -= row_bytes
        self._in_hand += row_bytes
        return None

    def settle(self, request_bytes: int) -> None:
        """One request that room was taken for has its row, or gets none."""
        self._in_hand -= request_bytes + ROW_EXTRA_BYTES
