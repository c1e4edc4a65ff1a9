"""Leading and standing by: one coordinator holds the lease and works, the others wait for it.

The lease is for efficiency; what keeps tasks safe are the checked writes of `Term`.
"""

import random
from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn

import anyio
import msgspec
import structlog

from broker import topology
from broker.connection import Connection
from broker.errors import BrokerError, ConsumerGone, StoreFull, Unanswered
from broker.lease import Holder, Lease
from broker.listen import Heard, listening
from coordinator import (
    askback,
    claim,
    collecting,
    control,
    draining,
    feed,
    fence,
    follow,
    levelling,
    ordering,
    place,
    policies,
)
from coordinator.shares import Shares
from coordinator.term import Term
from coordinator.watch import Watch
from schemas import codec
from schemas import subjects as s
from schemas.heartbeat import Heartbeat
from schemas.oddity import Oddity
from schemas.settings import Settings

log = structlog.get_logger()

TRY_EVERY_S = 0.25
"""A standby asks so often: it is part of the time in which nobody leads."""
AFTER_TROUBLE_S = 1.0
BROKER_WAIT_S = 0.25
ASKED_WITHIN_S = 5.0
"""A standby that was not answered for so long does not stand by."""


class Coordinator:
    """Leads by lease for as long as `run` runs; stands by otherwise."""

    def __init__(
        self, connection: Connection, settings: Settings, holder: Holder, dice: random.Random | None = None
    ) -> None:
        """`dice` spread retries and back-offs; a simulation throws its own."""
        self._connection = connection
        self._settings = settings
        self._lease = Lease(connection, s.LEADER_KEY, holder, ttl_s=settings.coordinator.lease_ttl_s, checked=True)
        self._holder = holder
        self._dice = dice or random.Random()  # noqa: S311 - spreads retries, keeps no secrets
        self.term: Term | None = None
        self.is_working = False
        """Leads, and the takeover is over."""
        self._answered_at = float("-inf")
        """When the broker last said who leads, seconds of the loop's clock."""

    def __repr__(self) -> str:
        return f"<Coordinator {self._holder.name} {self.term or 'standing by'}>"

    def gets_on(self) -> bool:
        """Whether it leads by a lease that holds, or knows that another does."""
        if self.term is not None:
            return self._lease.is_held
        return anyio.current_time() - self._answered_at < ASKED_WITHIN_S

    async def run(self) -> NoReturn:
        """Run until cancelled; then lets the lease go at once."""
        await topology.ensure_patiently(self._connection, self._settings.broker)
        log.info("standing by")
        try:
            while True:
                if await self._acquire():
                    await self._lead()
                    collecting.take_back()
                await anyio.sleep(self._dice.uniform(0.5, 1.0) * TRY_EVERY_S)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await self._lease.release()

    async def _acquire(self) -> bool:
        try:
            found = await self._lease.acquire()
            self._answered_at = anyio.current_time()
            return found is None
        except BrokerError as error:
            log.debug("could not ask for the lease", problem=str(error))
            return False

    async def _lead(self) -> None:
        """One term: from takeover until the lease is lost or something fails that only a new term mends."""
        epoch = self._lease.revision
        term = Term(
            self._connection,
            self._holder.name,
            epoch,
            self._settings.coordinator,
            self._dice,
            holds=lambda: self._lease.is_held,
        )
        self.term = term
        with structlog.contextvars.bound_contextvars(epoch=epoch):
            log.info("leading")
            problems: list[str] = []
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._keep_lease, term, tasks.cancel_scope)
                    tasks.start_soon(_listen, term)
                    await take_over(term)
                    for work in (
                        feed.feed_book,
                        claim.claim_requests,
                        follow.follow_facts,
                        place.place_tasks,
                        policies.follow_policy,
                        ordering.follow,
                        draining.drain_nodes,
                        askback.ask_back,
                        levelling.level_lines,
                        self._keep_topology,
                    ):
                        tasks.start_soon(work, term)
                    tasks.start_soon(term.handover.until_deposed)
                    tasks.start_soon(Watch(term).run)
                    shares = Shares(term)
                    term.desk.may_take = shares.may_take
                    tasks.start_soon(shares.run)
                    await tasks.start(control.answer, term)
                    self.is_working = True
            except* BrokerError as group:
                problems = sorted(set(_said(group)))
            finally:
                self.term, self.is_working = None, False
                log.info("no longer leading")
        if problems:
            log.warning("that term ended in trouble", epoch=epoch, problems=problems)
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await self._lease.release()
            await anyio.sleep(AFTER_TROUBLE_S)

    async def _keep_lease(self, term: Term, scope: anyio.CancelScope) -> None:
        """Renew, and step down on our own clock where that can't be done in time."""
        while True:
            await anyio.sleep(self._lease.renew_in_s)
            with anyio.move_on_after(max(0.0, self._lease.valid_until - anyio.current_time())):
                if await self._lease.renew():
                    if self._lease.is_refused:
                        term.note_refused(s.BUCKET_STREAM)
                    continue
            if not self._lease.is_held:
                log.warning("the lease is lost")
                scope.cancel()
                return

    async def _keep_topology(self, term: Term) -> None:
        """Ensure the streams again after each reconnect: a broker may come back empty."""
        while True:
            reconnected = anyio.Event()
            stop_watching = self._connection.on_reconnect(reconnected.set)
            try:
                await reconnected.wait()
            finally:
                stop_watching()
            term.fleet.start_afresh(anyio.current_time())
            await topology.ensure_patiently(self._connection, self._settings.broker)


def _said(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    """What each error of a group says, however deep it lies."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _said(error)
        else:
            yield str(error)


async def take_over(term: Term) -> None:
    """Rule 4 to 6, in this order: fence the earlier leader, read the table, drain the facts, read what operators
    decided, finish what was ending.
    """
    started = anyio.current_time()
    await _patiently(fence.take_record, term)
    await _patiently(claim.open_consumer, term)
    await feed.audit(term)
    await _patiently(follow.drain, term)
    await _patiently(policies.read, term)
    await _patiently(ordering.read, term)
    await fence.settle_inherited(term)
    unfinished = term.book.unfinished()
    for task in unfinished:
        try:
            async with term.only(task):
                await term.tidy(task)
                await term.finish(task)
        except (StoreFull, Unanswered) as error:
            # The log takes nothing now, so each further row would only cost time; the watch comes back to them all.
            log.error("rows could not be mended at takeover", rows=len(unfinished), problem=str(error))
            break
        except BrokerError as error:
            # One row must not keep every leader from leading; the watch comes back to it.
            log.error("a row could not be mended at takeover", task=task, problem=str(error))
    took_s = round(anyio.current_time() - started, 3)
    log.info("took over", tasks=len(term.book), seconds=took_s)


async def _patiently(step: Callable[[Term], Awaitable[object]], term: Term) -> None:
    """Repeat a step while the broker does not answer it: servers that elect a leader need some seconds.

    A term that gave up instead would leave the next one the same work, with other names. The lease bounds the wait.
    """
    while True:
        trouble = ""
        try:
            await step(term)
        except* (Unanswered, ConsumerGone) as group:
            trouble = next(_said(group))
        if not trouble:
            return
        log.info("the takeover waits for the broker", problem=trouble)
        await anyio.sleep(BROKER_WAIT_S)


async def _listen(term: Term) -> None:
    """Hear heartbeats for the length of the term."""

    def hear(heard: Heard) -> None:
        try:
            beat = codec.decode(heard.data, Heartbeat)
        except msgspec.MsgspecError as error:
            term.oddities[Oddity.HEARTBEAT_UNREADABLE] += 1
            log.warning("a heartbeat can't be read", subject=heard.subject, problem=str(error))
            return
        if heard.subject != s.heartbeat(beat.node):
            term.oddities[Oddity.HEARTBEAT_MISADDRESSED] += 1
            log.warning("a heartbeat names another node than its subject", subject=heard.subject, names=beat.node)
        elif term.fleet.hear(beat, anyio.current_time()):
            term.desk.heard(beat.node)

    async with listening(term.connection, s.HEARTBEATS_ALL, hear):
        await anyio.sleep_forever()
