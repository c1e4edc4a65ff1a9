"""Handing out shares of the bandwidth limits: each round the book of shares says what to write, and it is written."""

from typing import NoReturn

import anyio
import msgspec
import structlog
from anyio import CapacityLimiter

from broker import keys
from broker.errors import BrokerError, StoreFull
from broker.standing import Found
from coordinator.limits import Limits, Member, limits_at
from coordinator.sharebook import ShareBook
from coordinator.term import Term
from schemas import codec
from schemas import subjects as s
from schemas.lifecycle import State
from schemas.nodes import NodeShare
from schemas.origins import origins_of

log = structlog.get_logger()

ROUND_S = 2.0
"""As often as nodes speak: between two heartbeats nothing is learned."""
RETRY_S = 0.5
IN_FLIGHT = 64
LOOKED_AT_MAX = 256
"""Shares read again in one round, where nodes keep to others than those that should stand."""


class Shares:
    """The shares of one term. What it needs of the others: the fleet, the table's rows and the policy."""

    def __init__(self, term: Term) -> None:
        self._term = term
        self._book = ShareBook(term.epoch, anyio.current_time())
        self._began_at = anyio.current_time()
        self._limits = Limits()
        self._unsure: set[str] = set()
        """Nodes of whose share it is not known what stands."""
        self._origins: dict[str, tuple[int, tuple[str, ...]]] = {}
        """The limited origins of tasks that nodes hold, by task, with the row's sequence that told."""

    def __repr__(self) -> str:
        return f"<Shares {self._limits}, {self._book!r}>"

    def may_take(self, node: str) -> bool:
        """Whether something may be placed on a node: while a limit holds, only where the node keeps to a share."""
        seen = self._term.fleet.get(node)
        return not self._limits or (seen is not None and self._book.may_take(Member(beat=seen.heartbeat)))

    async def run(self) -> NoReturn:
        """Share out for the length of the term."""
        await self._read_all()
        while True:
            try:
                await self._round()
            except BrokerError as error:
                log.debug("no shares handed out in this round", problem=str(error))
            await anyio.sleep(ROUND_S)

    async def _read_all(self) -> None:
        """What earlier leaders handed out still holds."""
        while True:
            try:
                found = await keys.read_all(self._term.connection, s.node_share_key("*"))
            except BrokerError as error:
                log.debug("the shares can't be read yet", problem=str(error))
                await anyio.sleep(RETRY_S)
                continue
            for key, one in found.items():
                self._take(key.removeprefix(s.node_share_key("")), one)
            return

    async def _round(self) -> None:
        term, now = self._term, anyio.current_time()
        self._note(limits_at(term.policy, term.now()))
        if not self._limits and not any(self._book) and not self._unsure:
            return
        members = self._members(now)
        for node in sorted(self._unsure | set(self._book.doubtful(members)))[:LOOKED_AT_MAX]:
            self._take(node, await keys.read(term.connection, s.node_share_key(node)))
        if self._unsure:
            return  # more than are looked at in one round
        writes = self._book.plan(self._limits, members, now) | dict.fromkeys(self._forgotten(members, now))
        limiter = CapacityLimiter(IN_FLIGHT)
        async with anyio.create_task_group() as tasks:
            for node, share in writes.items():
                tasks.start_soon(self._write, node, share, limiter)
        if writes:
            log.debug("shares written", nodes=len(writes))

    def _note(self, limits: Limits) -> None:
        if limits != self._limits:
            told = {"bytes_per_s": limits.total, "origins": len(limits.origins)}
            log.info("the limits on bandwidth are others now" if limits else "no limit on bandwidth holds now", **told)
        self._limits = limits

    def _members(self, now: float) -> dict[str, Member]:
        term = self._term
        known: dict[str, tuple[int, tuple[str, ...]]] = {}
        members = {}
        for seen in term.fleet:
            beat = seen.heartbeat
            origins: dict[str, int] = {}
            if self._limits.origins:
                for held in beat.held:
                    for origin in self._limited_origins(held.task, beat.node, known):
                        origins[origin] = origins.get(origin, 0) + 1
            tasks = term.book.count_at(beat.node)
            members[beat.node] = Member(
                beat=beat, silent_s=term.fleet.silent_s(seen, now), tasks=tasks, origins=origins
            )
        self._origins = known
        return members

    def _limited_origins(self, task: str, node: str, known: dict[str, tuple[int, tuple[str, ...]]]) -> tuple[str, ...]:
        """Which limited origins a task downloads from, where it stands at a node."""
        top = self._term.book.top(task)
        if top is None or top.row.state is not State.ASSIGNED or top.row.place != node or top.row.request is None:
            return ()
        before = self._origins.get(task)
        if before is None or before[0] != top.sequence:
            before = top.sequence, tuple(sorted(origins_of(top.row.request.uris)))
        known[task] = before
        return tuple(origin for origin in before[1] if self._limits.of(origin))

    def _forgotten(self, members: dict[str, Member], now: float) -> list[str]:
        """Nodes with a share that have not been heard of for so long that they are not shown any more."""
        after_s = self._term.settings.forget_offline_after_s
        if not after_s or now - self._began_at < after_s:
            return []
        return [node for node in self._book if node not in members]

    async def _write(self, node: str, share: NodeShare | None, limiter: CapacityLimiter) -> None:
        """Write one change; where another's write stands, or nobody knows, it is read before the next round."""
        term, book = self._term, self._book
        async with limiter:
            if not term.holds():
                return
            body = codec.encode(share) if share is not None else b""
            key, expected = s.node_share_key(node), book.revision(node)
            try:
                revision = await keys.write(term.connection, key, body, expected=expected)
            except StoreFull:
                term.note_refused(s.BUCKET_STREAM)
            except BrokerError as error:
                self._unsure.add(node)
                log.debug("a share may not have been written", node=node, problem=str(error))
            else:
                if revision is None:
                    self._unsure.add(node)
                else:
                    book.wrote(node, share, revision, anyio.current_time())

    def _take(self, node: str, found: Found | None) -> None:
        self._unsure.discard(node)
        share = None
        if found is not None:
            try:
                share = codec.decode(found.body, NodeShare)
            except msgspec.MsgspecError as error:
                # It is as if nothing stood there: what is written next replaces it.
                log.warning("a share can't be read", node=node, problem=str(error))
                share = NodeShare()
        self._book.read(node, share, found.revision if found else 0, anyio.current_time())
