"""What counts against a limit of its origin runs here only while nobody can have given it to another node.

A leader gives it away only when this node's lock is free. So the node stops it before its lock can run out, and goes
on when the lock is its own again: where that had run out meanwhile, only after it has read what stands here.
"""

from enum import StrEnum
from typing import NoReturn

import anyio
import structlog

from node.agent import Agent
from node.lock import NodeLock
from node.reader import Reader

log = structlog.get_logger()

HOLD_SHARE = 0.3
"""Of the lock's life: with so much left, what is limited is stopped; two renewals have failed by then …"""
KILL_SHARE = 0.1
"""… and with so much left the aria2c that still has it is killed."""
LOOKS_PER_LIFE = 50
ORPHANS_S = 3.0
"""An aria2c whose node was killed ends within 1.5 s; what it has is not begun a second time before."""


class Standing(StrEnum):
    """How sure it is that what stands here is this node's."""

    SURE = "sure"
    UNREAD = "unread"
    """The lock is this node's, but somebody may have found it free since the table was read."""
    DOUBTFUL = "doubtful"
    OVER = "over"
    """Any moment now somebody else may begin it."""


def judged(now: float, *, sure_until: float, ttl_s: float, acquired_at: float, read_at: float) -> Standing:
    """How it stands with a lock. All moments on one monotonic clock, in seconds. Pure."""
    left_s = sure_until - now
    if left_s <= KILL_SHARE * ttl_s:
        return Standing.OVER
    if left_s <= HOLD_SHARE * ttl_s:
        return Standing.DOUBTFUL
    return Standing.UNREAD if read_at <= acquired_at else Standing.SURE


class Contact:
    """Holds what is limited for one node."""

    def __init__(self, lock: NodeLock, reader: Reader, agent: Agent) -> None:
        self._lock = lock
        self._reader = reader
        self._agent = agent
        self._standing = Standing.SURE

    def __repr__(self) -> str:
        return f"<Contact {self._standing}>"

    async def watch(self) -> NoReturn:
        """Look until cancelled."""
        if self._lock.took_over:
            self._agent.hold(is_held=True)
            await anyio.sleep(ORPHANS_S)
        while True:
            self._look()
            await anyio.sleep(self._lock.ttl_s / LOOKS_PER_LIFE)

    def _look(self) -> None:
        lock = self._lock
        before, self._standing = (
            self._standing,
            judged(
                anyio.current_time(),
                sure_until=lock.sure_until,
                ttl_s=lock.ttl_s,
                acquired_at=lock.acquired_at,
                read_at=self._reader.read_at,
            ),
        )
        if self._standing is Standing.UNREAD:
            self._reader.read_again()
        stopped = self._agent.hold(is_held=self._standing is not Standing.SURE)
        if stopped and self._standing is not before:
            log.warning("out of touch: downloads that count against a limit wait", tasks=stopped)
        if self._standing is Standing.OVER:
            self._agent.kill_held()
