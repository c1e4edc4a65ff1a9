"""What nobody reports: silent nodes, assignments that did not arrive, deadlines, rows left by a crash."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import anyio
import structlog

from broker import lease
from broker.errors import BrokerError
from coordinator import moves
from coordinator.feed import unhurried
from coordinator.term import Term
from coordinator.views import Holdings
from coordinator.wants import is_overdue
from schemas import subjects as s
from schemas.heartbeat import RUNNING_PHASES
from schemas.lifecycle import Desired, State
from schemas.task import UNLESS_BEGUN, StoredRow, TaskRow

log = structlog.get_logger()

COMPARE_EVERY_S = 2.0
MISSING_AFTER_S = 35.0
"""Longer than a node's re-read interval: it may have learned of the row from there."""
SURPLUS_AFTER_S = 5.0
AWAKE_EVERY_S = 0.5
IN_FLIGHT = 64
ENDINGS_IN_FLIGHT = 16
"""Apart from the rest: while the log is full or does not answer, nothing else waits behind them."""
BEGUN_MAX = 5_000
"""Repairs of either kind that are under way or wait for their turn: what else is due is found again."""

Step = Callable[[Term, StoredRow], Awaitable[None]]


class Watch:
    """Compares the table with what is heard, on a timer, and repairs both ways."""

    def __init__(self, term: Term) -> None:
        self._term = term
        self._holdings = Holdings(term.fleet)
        self._missing: dict[str, tuple[int, float]] = {}
        self._surplus: dict[tuple[str, str], float] = {}
        self._dismissing: set[tuple[str, str]] = set()
        self._awake_at = 0.0
        """When this process last showed that it runs, monotonic seconds."""
        self._doing: dict[str, Step] = {}
        """Tasks whose repair is under way or waits for its turn."""
        self._log_refused = False
        """The log took no outcome in this round: no more are tried before the next."""

    async def run(self) -> None:
        """Watch for the length of the term. Silence counts from now: the takeover is over."""
        term, settings = self._term, self._term.settings
        self._awake_at = anyio.current_time()
        term.fleet.start_afresh(self._awake_at)
        others, endings = anyio.CapacityLimiter(IN_FLIGHT), anyio.CapacityLimiter(ENDINGS_IN_FLIGHT)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stay_awake)
            while True:
                await anyio.sleep(min(COMPARE_EVERY_S, settings.heartbeat_interval_s))
                now = self._is_awake()
                if settings.forget_offline_after_s:
                    # Not before its tasks were found to be lost: silence counts while we know who is silent.
                    after_s = max(settings.forget_offline_after_s, settings.node_lost_after_s)
                    term.fleet.forget_offline(now, after_s)
                    heard = {seen.heartbeat.node for seen in term.fleet}
                    term.desk.turnover.forget(heard)
                    term.conduct.forget(heard)
                self._log_refused = False
                for stored, step in await self._due(now):
                    self._doing[stored.row.task] = step
                    tasks.start_soon(self._do, stored, step, endings if step is _finish else others)
                for node, task in self._surplus_due(now):
                    self._dismissing.add((node, task))
                    tasks.start_soon(self._dismiss, node, task, others)
                term.desk.wake()

    async def _stay_awake(self) -> NoReturn:
        """Beside the rounds, which may take long: only a process that stood still misses these."""
        while True:
            self._is_awake()
            await anyio.sleep(AWAKE_EVERY_S)

    def _is_awake(self) -> float:
        """Judge no node by a time in which this process stood still, at whatever line. The time, monotonic seconds."""
        term, now = self._term, anyio.current_time()
        gap_s = now - self._awake_at
        if gap_s > AWAKE_EVERY_S + 2 * term.settings.heartbeat_interval_s:
            log.warning("this coordinator stood still, node silence counts afresh", gap_s=round(gap_s, 1))
            term.fleet.start_afresh(now)
        self._awake_at = now
        return now

    async def _due(self, now: float) -> list[tuple[StoredRow, Step]]:
        """What needs doing now, decided before any of it is done."""
        term = self._term
        self._missing = {
            task: known
            for task, known in self._missing.items()
            if (standing := term.book.top(task)) is not None and standing.sequence == known[0]
        }
        found: list[tuple[StoredRow, Step]] = []
        endings = sum(step is _finish for step in self._doing.values())
        room = {True: BEGUN_MAX - endings, False: BEGUN_MAX - (len(self._doing) - endings)}
        lost: dict[str, bool] = {}
        # A task that waits in the queue needs nothing before its deadline, and there may be a million of them.
        tasks = (*term.book.unfinished(), *term.book.overdue(term.now().timestamp()), *term.book.at_nodes())
        async for task in unhurried(dict.fromkeys(tasks)):
            if task in term.locks or task in self._doing or (top := term.book.top(task)) is None:
                continue
            step = self._step(top, now, lost)
            if step is not None and room[step is _finish] > 0:
                room[step is _finish] -= 1
                found.append((top, step))
        return found

    def _step(self, top: StoredRow, now: float, lost: dict[str, bool]) -> Step | None:
        """What a task needs, None for nothing. `lost` remembers of which nodes that is known already."""
        term, row = self._term, top.row
        if row.state is State.ENDING:
            return _finish
        if term.book.is_doubled(row.task):
            return _tidy
        if _is_overdue(row, term):
            return _overdue
        if row.state is not State.ASSIGNED:
            return None
        if row.place not in lost:
            lost[row.place] = term.fleet.is_lost(row.place, now, term.settings.node_lost_after_s)
        if lost[row.place]:
            return _rescue
        if self._is_missing(top, now):
            return _write_again
        if row.code in UNLESS_BEGUN and self._has_begun(top):
            return _goes_on
        return None if top.sequence in term.book.vouched else _check

    def _is_missing(self, top: StoredRow, now: float) -> bool:
        """Whether a node that we hear has not taken its assignment for long."""
        row = top.row
        if self._term.fleet.get(row.place) is None or self._holdings.of(top) is not None:
            self._missing.pop(row.task, None)
            return False
        sequence, since = self._missing.setdefault(row.task, (top.sequence, now))
        if sequence != top.sequence:
            self._missing[row.task] = (top.sequence, now)
            return False
        if now - since <= MISSING_AFTER_S:
            return False
        del self._missing[row.task]
        return True

    def _has_begun(self, top: StoredRow) -> bool:
        held = self._holdings.of(top)
        return held is not None and held.phase in RUNNING_PHASES

    def _surplus_due(self, now: float) -> list[tuple[str, str]]:
        """Nodes and tasks that they hold but that do not stand there: the hint that said so may have been lost."""
        term = self._term
        claimed = {
            (seen.heartbeat.node, held.task, held.attempt)
            for seen in term.fleet
            if term.fleet.is_online(seen.heartbeat.node, now, term.settings.node_lost_after_s)  # the others are deaf
            for held in seen.heartbeat.held
        }
        wrong = {(node, task) for node, task, attempt in claimed if not self._stands(node, task, attempt)}
        self._surplus = {key: self._surplus.get(key, now) for key in wrong - self._dismissing}
        due = [
            key for key, since in self._surplus.items() if now - since > SURPLUS_AFTER_S and key[1] not in term.locks
        ]
        for key in due:
            del self._surplus[key]
        return due

    async def _dismiss(self, node: str, task: str, limiter: anyio.CapacityLimiter) -> None:
        """Tell a node again that a task does not stand there."""
        term = self._term
        try:
            async with limiter, term.only(task):
                top = await term.refresh(task)
                if top is None or top.row.place != node:
                    # Everything written so far is at or below the marker: nothing newer is dismissed by it.
                    await term.table.hint(node, task, top.sequence if top else await term.table.mark())
        except BrokerError as error:
            log.warning("could not dismiss a surplus task", task=task, node=node, problem=str(error))
        finally:
            self._dismissing.discard((node, task))

    def _stands(self, node: str, task: str, attempt: int) -> bool:
        top = self._term.book.top(task)
        return top is not None and top.row.place == node and top.row.attempt >= attempt

    async def _do(self, stored: StoredRow, step: Step, limiter: anyio.CapacityLimiter) -> None:
        term, task = self._term, stored.row.task
        try:
            async with limiter, term.only(task):
                if step is _finish and self._log_refused:
                    return
                top = term.book.top(task)
                if top is not None and top.sequence == stored.sequence:
                    await step(term, top)
        except BrokerError as error:
            self._log_refused |= step is _finish
            log.warning("repair failed, trying again later", task=task, problem=str(error))
        finally:
            del self._doing[task]


def _is_overdue(row: TaskRow, term: Term) -> bool:
    """Past its deadline, and not called back from its node already."""
    if not is_overdue(row, term.connection.clock.now()):
        return False
    return row.state is State.QUEUED or row.desired is not Desired.CANCEL


async def _finish(term: Term, top: StoredRow) -> None:
    await term.finish(top.row.task)


async def _tidy(term: Term, top: StoredRow) -> None:
    await term.tidy(top.row.task)


async def _overdue(term: Term, top: StoredRow) -> None:
    change = moves.overdue(top.row)
    if isinstance(change, moves.End):
        await term.apply(top, change)
    elif change is not None:
        await term.cas(change, top.sequence)


async def _rescue(term: Term, top: StoredRow) -> None:
    if await term.is_over(top):
        return
    if top.row.limited:
        let_go = await _let_go(term, top)
        if let_go is None:
            return
        top = let_go
    log.warning("node lost, its task goes elsewhere", node=top.row.place, attempt=top.row.attempt)
    await term.apply(top, moves.lost(top.row, term.settings, term.dice.random()))


async def _let_go(term: Term, top: StoredRow) -> StoredRow | None:
    """The row of a task that counts against a limit, once its silent node can't be downloading it; None until then.

    First the row asks for it back, then the node's lock is looked at; the node takes its lock and then reads the row.
    So either it sees that it is asked, or it is seen to be there. Raises BrokerError.
    """
    if (change := moves.called_in(top.row)) is not None:
        asked = await term.cas(change, top.sequence)
        if asked is None:
            return None
        top = asked
    return None if await lease.stands(term.connection, s.node_lock_key(top.row.place)) else top


async def _check(term: Term, top: StoredRow) -> None:
    """An earlier leader's row: whether its task has ended is read once (rule 11)."""
    await term.is_over(top)


async def _goes_on(term: Term, top: StoredRow) -> None:
    if (change := moves.goes_on(top.row)) is not None:
        await term.cas(change, top.sequence)


async def _write_again(term: Term, top: StoredRow) -> None:
    """The same row once more, so that it is republished: its node has not heard of it."""
    if not await term.is_over(top):
        log.warning("node does not hold its task, telling it again", node=top.row.place, attempt=top.row.attempt)
        await term.cas(top.row, top.sequence)
