"""A key that one process holds while it lives: the leader's lease, a node's lock.

Written by compare-and-set with a time to live, so that it vanishes with its holder. Nobody's safety rests
on it (the table's rules do that); it keeps two processes from doing the same work.
"""

import math
from typing import NamedTuple

import anyio
import msgspec
import structlog
from msgspec import Struct

from broker import checked
from broker.connection import API, Connection
from broker.errors import ApiRefused, SequenceConflict, StoreFull, Unanswered
from schemas import codec
from schemas import subjects as s

log = structlog.get_logger()

RELEASED_TTL_S = 1
"""How long the mark of a released key stands: the server's minimum."""
SLOW_TIMES = 8
"""A key lives for so many times what its last writes took, where that is more than its usual life."""
FADES = 0.9
"""What is left, with each further write, of the memory of a slow one: a lost packet is rarely the last."""
STRETCH_MAX = 5
"""… but for no more than so many times that: if its holder dies, it is waited for so long."""


class Holder(Struct, frozen=True, omit_defaults=True):
    """What a key says of who holds it."""

    name: str
    instance: str
    """A nonce of the process: tells it from a namesake."""
    host: str = ""
    pid: int = 0
    released: bool = False


class Found(NamedTuple):
    holder: Holder
    revision: int


async def stands(connection: Connection, key: str) -> bool:
    """Whether somebody holds a key, by the stream's leader. Raises Unanswered, ApiRefused."""
    found = await checked.get(connection, s.BUCKET_STREAM, {"last_by_subj": s.bucket_key(key)})
    return found is not None and not codec.decode(found.data, Holder).released


class Lease:
    """One key of the bucket as seen by one would-be holder."""

    def __init__(self, connection: Connection, key: str, holder: Holder, *, ttl_s: int, checked: bool = False) -> None:
        self._connection = connection
        self._subject = s.bucket_key(key)
        self._holder = holder
        self._ttl_s = ttl_s
        self._checked = checked
        """Read through the stream's leader: a replica may not know of the latest renewal yet."""
        self.is_refused = False
        """The last renewal was refused: the broker's store is full."""
        self.revision = 0
        """Of our last write; 0 while we do not hold it."""
        self.valid_until = 0.0
        """On our own monotonic clock, counted from before the write was sent."""
        self.sure_until = 0.0
        """The same, but by what the broker has stored alone: it does not expire the key before."""
        self.acquired_at = 0.0
        """When it was stored as ours where it had not been: before that others may have found it free."""
        self.took_over = False
        """Acquired from a predecessor that had not let it go."""
        self._slow_s = 0.0
        """How long the last writes took, the slower ones remembered for a while."""

    def __repr__(self) -> str:
        return f"<Lease {self._subject} {'held' if self.is_held else 'not held'} revision {self.revision}>"

    @property
    def is_held(self) -> bool:
        """Whether we may still believe that nobody else holds it."""
        return self.revision > 0 and anyio.current_time() < self.valid_until

    @property
    def renew_in_s(self) -> float:
        """When to renew, so that two more tries fit in before it runs out."""
        return max(0.0, min(float(self._ttl_s), self.valid_until - anyio.current_time()) / 3)

    async def acquire(self, predecessors: frozenset[str] = frozenset()) -> Found | None:
        """Try once. None: it is ours; else who holds it.

        `predecessors`: instances known to be dead, whose key is taken over. Raises Unanswered.
        """
        if await self._write(expected=0):
            return None
        found = await self.read()
        if found is None:
            return Found(Holder("somebody", "?"), 0)
        if found.holder.instance == self._holder.instance and not found.holder.released:
            if await self._write(expected=found.revision):
                return None
            # Nobody else's yet: a write of our own that was not answered came in between.
            raise Unanswered("an earlier write of this process is still under way")
        if found.holder.released or found.holder.instance in predecessors:
            self.took_over = not found.holder.released
            return None if await self._write(expected=found.revision) else found
        return found

    async def renew(self) -> bool:
        """Hold it for another term. False: it is lost for good. An unknown result is read back (rule 3).

        While the broker's store is full it counts as held: see the comment below.
        """
        started = anyio.current_time()
        was_refused, self.is_refused = self.is_refused, False
        try:
            if await self._write(expected=self.revision):
                return True
            found = await self.read()
            if found is None and was_refused:  # it ran out while nobody could write it
                return await self._write(expected=0)
        except Unanswered:
            return self.is_held
        except StoreFull:
            self.is_refused = True
            if await self._is_anothers():
                self.revision = 0
                return False
            # Nobody else's write is taken either, and who holds it may be the one who makes room.
            self.valid_until = started + self._ttl_s
            return True
        if found is not None and found.holder == self._holder and found.revision >= self.revision:
            self.revision = found.revision
            return self.is_held
        self.revision = 0
        return False

    async def _is_anothers(self) -> bool:
        """Whether somebody else got it while there was room for a moment."""
        try:
            found = await self.read()
        except Unanswered:
            return False
        return found is not None and found.holder.instance != self._holder.instance and not found.holder.released

    async def release(self) -> None:
        """Let it go at once, so that nobody has to wait for its time to run out."""
        if not self.revision or not self._connection.is_connected:
            return
        mark = msgspec.structs.replace(self._holder, released=True)
        revision, self.revision = self.revision, 0
        try:
            await self._connection.store(self._subject, codec.encode(mark), self._headers(revision, RELEASED_TTL_S))
        except (SequenceConflict, StoreFull, Unanswered, ApiRefused) as error:
            log.debug("lease not released; it will run out", key=self._subject, problem=str(error))

    async def read(self) -> Found | None:
        """Who holds it now. Raises Unanswered."""
        if self._checked:
            found = await checked.get(self._connection, s.BUCKET_STREAM, {"last_by_subj": self._subject})
            return Found(codec.decode(found.data, Holder), found.sequence) if found else None
        answer = await self._connection.request(f"{API}.DIRECT.GET.{s.BUCKET_STREAM}.{self._subject}")
        headers = answer.headers or {}
        if "Status" in headers and not answer.data:
            return None
        return Found(codec.decode(answer.data, Holder), int(headers[s.SEQUENCE]))

    async def _write(self, expected: int) -> bool:
        """Over a line that loses packets an answer may take longer than a key lives: then it is given a longer life."""
        started = anyio.current_time()
        is_new = expected == 0 or expected != self.revision
        ttl_s = min(STRETCH_MAX * self._ttl_s, max(self._ttl_s, math.ceil(SLOW_TIMES * self._slow_s)))
        try:
            self.revision = await self._connection.store(
                self._subject, codec.encode(self._holder), self._headers(expected, ttl_s)
            )
        except SequenceConflict:
            return False
        finally:
            # No more than counts: a process that slept in the middle of a write shall not remember that for minutes.
            took_s = min(anyio.current_time() - started, STRETCH_MAX * self._ttl_s / SLOW_TIMES)
            self._slow_s = max(self._slow_s * FADES, took_s)
        self.valid_until = self.sure_until = started + ttl_s
        if is_new:
            self.acquired_at = anyio.current_time()
        return True

    def _headers(self, expected: int, ttl_s: int) -> dict[str, str]:
        return {s.EXPECTED_SEQUENCE: str(expected), s.TTL: f"{ttl_s}s"}
