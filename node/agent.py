"""Keeps this node's downloads in step with the table: one session a task, one next step at a time."""

from datetime import UTC, datetime
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup
from msgspec.structs import replace

from broker.connection import Connection
from broker.errors import Unanswered
from broker.eventlog import EventLog
from node.admission import admit
from node.assignments import Assigned, Assignments, Change
from node.daemon import Lane
from node.failures import Verdict
from node.files import Placed
from node.lane import LaneDriver
from node.session import Phase, Session, Signal, Step, Wanted, after, begun, next_step, rewished, wanted_of
from node.workshop import Workshop, disk_trouble
from schemas import codec
from schemas import subjects as s
from schemas.event import AttemptFailed, Completed, Paused, Released, Resumed, Started
from schemas.heartbeat import Held, Progress
from schemas.lifecycle import Desired
from schemas.redact import told_of
from schemas.task import FailureClass

log = structlog.get_logger()

PREFETCH_SHARE = 4
"""As the coordinator counts: a quarter of the slots may wait inside the small lane."""
ASKS_TO_WAIT = frozenset({"http-429", "http-503"})


class Agent:
    """All sessions of a node. Everything that happens goes through `_advance`, one task at a time."""

    def __init__(
        self,
        connection: Connection,
        node: str,
        slots: int,
        *,
        assignments: Assignments,
        workshop: Workshop,
        tasks: TaskGroup,
    ) -> None:
        self.node = node
        self.slots = slots
        self.lanes: dict[str, LaneDriver] = {}
        self._connection = connection
        self._workshop = workshop
        self._assignments = assignments
        self._events = EventLog(connection, node)
        self._tasks = tasks
        self._sessions: dict[str, Session] = {}
        self._next: dict[str, Assigned] = {}
        self._results: dict[str, Placed | Verdict | None] = {}
        self._announced: set[str] = set()
        """Their `started` is stored: progress may follow it."""
        self._leaving = False
        self._pumping = self._stale = False
        self._idle = anyio.Event()

    def __repr__(self) -> str:
        return f"<Agent {self.node}: {len(self._sessions)} sessions, {self.running} running of {self.slots}>"

    @property
    def running(self) -> int:
        return sum(session.holds_slot for session in self._sessions.values())

    def held(self) -> tuple[Held, ...]:
        """What a heartbeat lists."""
        return tuple(Held(session.task, session.row.attempt, _shown(session)) for session in self._sessions.values())

    def tasks(self) -> frozenset[str]:
        return frozenset(self._sessions)

    def take(self, changes: list[Change]) -> None:
        """The table changed for these tasks."""
        for task, assigned in changes:
            session = self._sessions.get(task)
            if assigned is None:
                self._next.pop(task, None)
                if session is not None:
                    self._sessions[task] = replace(session, wanted=Wanted.DROP)
            elif session is None:
                self._begin(assigned)
            elif session.row.attempt == assigned.row.attempt and session.wanted is not Wanted.DROP:
                self._rewish(session, assigned)
            else:
                # Another attempt came back here while the last one is still being put away.
                self._next[task] = assigned
                self._sessions[task] = replace(session, wanted=Wanted.DROP)
        self._pump()

    def signal(self, task: str, signal: Signal, verdict: Verdict | None = None) -> None:
        """A lane tells what became of a transfer."""
        session = self._sessions.get(task)
        if session is None:
            return
        if verdict is not None:
            self._results[task] = verdict
        self._advance(session, signal)
        self._pump()

    async def leave(self) -> None:
        """Stop and give everything back; returns when it is reported."""
        self._leaving = True
        for task, session in tuple(self._sessions.items()):
            if session.wanted in (Wanted.RUN, Wanted.PAUSE):
                self._sessions[task] = replace(session, wanted=Wanted.GIVE_BACK)
        self._pump()
        while self._sessions:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def publish_progress(self) -> None:
        """One message for each running transfer."""
        for session in tuple(self._sessions.values()):
            if session.phase is Phase.ACTIVE and session.task in self._announced:
                await self._publish_progress(session)

    def _begin(self, assigned: Assigned) -> None:
        wanted = wanted_of(assigned.row)
        if self._leaving:
            wanted = Wanted.GIVE_BACK
        self._sessions[assigned.row.task] = Session(row=assigned.row, sequence=assigned.sequence, wanted=wanted)

    def _rewish(self, session: Session, assigned: Assigned) -> None:
        changed = rewished(session, assigned.row, assigned.sequence)
        if self._leaving and changed.wanted is not Wanted.DROP:
            changed = replace(changed, wanted=Wanted.GIVE_BACK)
        if session.said_paused and changed.wanted is Wanted.RUN:
            changed = replace(changed, said_paused=False)
            self._tasks.start_soon(self._events.emit, Resumed(**self._about(changed), node=self.node))
        self._sessions[session.task] = changed

    def _pump(self) -> None:
        """Begin whatever may begin now; what a step changes at once is looked at in a further pass."""
        self._stale = True
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._stale:
                self._stale = False
                self._pump_once()
        finally:
            self._pumping = False
        if not self._sessions:
            self._idle.set()

    def _pump_once(self) -> None:
        admission = admit(self._sessions.values(), self.slots, max(1, self.slots // PREFETCH_SHARE))
        if small := self.lanes.get(Lane.SMALL):
            small.set_slots(admission.small_slots)
        for task in tuple(self._sessions):
            session = self._sessions.get(task)
            if session is None:
                continue
            step = next_step(session, admitted=task in admission.tasks)
            if step is not None:
                self._do(begun(session, step), step)
                self._stale = True

    def _do(self, session: Session, step: Step) -> None:
        self._sessions[session.task] = session
        match step:
            case Step.PROBE:
                self._tasks.start_soon(self._probe, session)
            case Step.ADD:
                self._tasks.start_soon(self._add, session)
            case Step.REMOVE:
                self.lanes[session.lane].remove(session.task)
            case Step.SAY_PAUSED:
                self._tasks.start_soon(self._events.emit, Paused(**self._about(session), node=self.node))
            case Step.GIVE_BACK:
                self._tasks.start_soon(self._report_released, session)
            case Step.LET_GO:
                self._end(session)

    def _advance(self, session: Session, signal: Signal) -> None:
        """Take one step through the table and start what the new phase is."""
        session = after(session, signal)
        if signal is Signal.STARTED and not session.started_at:
            session = replace(session, started_at=anyio.current_time())
            self._tasks.start_soon(self._say_started, session)
        self._sessions[session.task] = session
        match session.phase:
            case Phase.VERIFYING:
                self._tasks.start_soon(self._finish, session)
            case Phase.REPORTING:
                self._tasks.start_soon(self._report, session)
            case Phase.OVER:
                self._end(session)

    def _end(self, session: Session) -> None:
        self._sessions.pop(session.task, None)
        self._results.pop(session.task, None)
        self._announced.discard(session.task)
        if following := self._next.pop(session.task, None):
            self._begin(following)

    async def _probe(self, session: Session) -> None:
        looked = await self._workshop.look(session)
        if looked.lane is not None:
            current = self._sessions[session.task]
            self._sessions[session.task] = replace(current, lane=str(looked.lane))
        self._results[session.task] = looked.placed or looked.verdict
        done = Signal.FOUND if looked.placed else Signal.FAILED if looked.verdict else Signal.PROBED
        self.signal(session.task, done)

    async def _add(self, session: Session) -> None:
        try:
            addition = await self._workshop.addition(session)
        except OSError as error:
            self.signal(session.task, Signal.FAILED, disk_trouble(error))
        else:
            self.lanes[session.lane].add(addition)

    async def _finish(self, session: Session) -> None:
        await self._publish_progress(session)
        result = await self._workshop.finish(session, anyio.current_time() - session.started_at)
        self._results[session.task] = result
        self.signal(session.task, Signal.PLACED if isinstance(result, Placed) else Signal.FAILED)

    async def _report(self, session: Session) -> None:
        with structlog.contextvars.bound_contextvars(task=session.task, attempt=session.row.attempt):
            result = self._results.get(session.task)
            if isinstance(result, Placed):
                await self._report_completed(session, result)
            elif isinstance(result, Verdict):
                await self._report_failed(session, result)
        self.signal(session.task, Signal.STORED)

    async def _report_completed(self, session: Session, placed: Placed) -> None:
        event = Completed(
            **self._about(session) | {"attempt": placed.attempt},
            source=session.row.source,
            retry_of=session.row.retry_of,
            **told_of(session.row.request),
            node=self.node,
            path=placed.path,
            bytes=placed.bytes,
            digest=placed.digest,
            seconds=round(placed.seconds, 3),
        )
        if await self._events.finish(event) or await self._events.is_own_completion(session.task):
            log.info("download completed", path=placed.path, bytes=placed.bytes, seconds=event.seconds)
            await self._workshop.wipe(session.task)
        else:
            log.info("another attempt was first, its file counts", path=placed.path)
            await self._workshop.unplace(session.task)
        self._assignments.settle_for_ever(session.task)
        self._next.pop(session.task, None)  # it has ended: no further attempt begins here

    async def _report_failed(self, session: Session, verdict: Verdict) -> None:
        if verdict.failure in (FailureClass.DAMAGED, FailureClass.PERMANENT):
            await self._workshop.wipe(session.task)
        asked = await self._workshop.retry_after_s(session) if verdict.code in ASKS_TO_WAIT else None
        log.warning("attempt failed", failure=str(verdict.failure), code=verdict.code, reason=verdict.reason)
        await self._events.report(
            AttemptFailed(
                **self._about(session),
                node=self.node,
                failure=verdict.failure,
                reason=verdict.reason,
                code=verdict.code,
                retry_after_s=asked,
            )
        )
        self._assignments.settle(session.task, session.row.attempt)

    async def _report_released(self, session: Session) -> None:
        with structlog.contextvars.bound_contextvars(task=session.task, attempt=session.row.attempt):
            desired = session.row.desired
            if desired is Desired.CANCEL:
                await self._workshop.wipe(session.task)
            reason = f"{self.node} is leaving" if self._leaving else f"{self.node} was asked to {desired}"
            await self._events.report(Released(**self._about(session), node=self.node, reason=reason, desired=desired))
            log.info("task released", reason=reason)
        self._assignments.settle(session.task, session.row.attempt)
        self.signal(session.task, Signal.STORED)

    async def _say_started(self, session: Session) -> None:
        log.info("download started", task=session.task, attempt=session.row.attempt, lane=session.lane)
        await self._events.tell(Started(**self._about(session), node=self.node, lane=session.lane))
        self._announced.add(session.task)
        await self._publish_progress(session)

    async def _publish_progress(self, session: Session) -> None:
        lane = self.lanes.get(session.lane)
        transfer = lane.transfers.get(session.task) if lane else None
        progress = Progress(
            task=session.task,
            attempt=session.row.attempt,
            node=self.node,
            bytes_done=transfer.done if transfer else 0,
            bytes_total=transfer.total if transfer else 0,
            bytes_per_s=transfer.speed if transfer else 0,
            connections=transfer.connections if transfer else 0,
            phase=_shown(session),
        )
        try:
            if self._connection.is_connected:
                await self._connection.publish(s.progress(session.task, self.node), codec.encode(progress))
        except Unanswered:
            log.debug("progress not sent", task=session.task)

    def _about(self, session: Session) -> dict[str, Any]:
        row = session.row
        return {
            "task": row.task,
            "owner": row.owner,
            "time": datetime.now(UTC),
            "attempt": row.attempt,
            "name": row.request.title if row.request else "",
            "labels": row.request.labels if row.request else {},
        }


def _shown(session: Session) -> str:
    """The phase as others see it."""
    if session.phase is Phase.WAITING and session.said_paused:
        return "paused"
    return "waiting" if session.phase is Phase.ACTIVE and not session.started_at else str(session.phase)
