"""How a node learns its share of the bandwidth, and what it does without the broker."""

from typing import NoReturn

import anyio
import msgspec
import structlog

from broker import keys
from broker.connection import Connection
from broker.errors import BrokerError
from broker.standing import Changes, Found
from node.governor import Governor
from schemas import codec
from schemas import subjects as s
from schemas.nodes import ALONE_AFTER_S, NodeShare

log = structlog.get_logger()

READ_WITHIN_S = 2.0
"""A node that has just started waits so long to learn its share before its first download."""
LOOK_EVERY_S = 1.0
STEADY_S = 10.0
"""A broker that was back for less than this may have passed on none of our heartbeats: it was not back."""


class ShareKeeper:
    """Follows `shares.<node>` and has the governor keep to it.

    A node that was alone may have lost its share to others meanwhile: when it is back it goes on with what is meant
    for that, until its share is written anew.
    """

    def __init__(
        self, connection: Connection, node: str, governor: Governor, *, alone_after_s: float = ALONE_AFTER_S
    ) -> None:
        self._connection = connection
        self._key = s.node_share_key(node)
        self._governor = governor
        self._alone_after_s = alone_after_s
        self._connected_since: float | None = anyio.current_time()
        self._steady_at = anyio.current_time()
        """When it was connected last, but for a short time."""
        self._is_alone = False
        self._stood: int | None = None
        """The revision that stood when it came back; None before that is read."""

    async def run(self) -> None:
        """Follow until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._be_ready)
            tasks.start_soon(self._watch_line)
            await keys.follow(self._connection, (self._key,), self._changed, own=True)

    def _changed(self, changes: Changes) -> None:
        found = changes.get(self._key)
        if not self._is_alone or (self._stood is not None and _revision(found) != self._stood):
            self._follow(found)

    def _follow(self, found: Found | None) -> None:
        self._is_alone = False
        share = None
        if found is not None:
            try:
                share = codec.decode(found.body, NodeShare)
            except msgspec.MsgspecError as error:
                log.error("this node's share of the bandwidth can't be read", problem=str(error))
                return
        log.debug("share of the bandwidth", bytes_per_s=share.bytes_per_s if share else None)
        self._governor.follow(share, _revision(found))

    async def _be_ready(self) -> None:
        """A broker that does not answer is not waited for."""
        await anyio.sleep(READ_WITHIN_S)
        self._governor.is_ready = True

    async def _watch_line(self) -> NoReturn:
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            now = anyio.current_time()
            if not self._connection.is_connected:
                self._connected_since = None
                if not self._is_alone and now - self._steady_at >= self._alone_after_s:
                    log.warning("without the broker for long: this node's share of the bandwidth may be others' now")
                    self._is_alone = True
                    self._governor.go_alone()
                self._stood = None
                continue
            self._connected_since = since = self._connected_since or now
            if now - since >= STEADY_S:
                self._steady_at = now
            if self._is_alone and self._stood is None:
                await self._see_what_stands()

    async def _see_what_stands(self) -> None:
        try:
            found = await keys.read_own(self._connection, self._key)
        except BrokerError as error:
            log.debug("the share can't be read yet", problem=str(error))
            return
        self._stood = _revision(found)
        if found is None or not self._governor.has_share:
            self._follow(found)  # no limit holds any more; or none held before, so it had nothing that others could get


def _revision(found: Found | None) -> int:
    return found.revision if found is not None else 0
