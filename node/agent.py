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
from schemas.redact import public_request
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
        self._pumping = False
        self._touched: set[str] = set()
        """Sessions whose next step is to be decided."""
        self._slots_changed = False
        """A slot came free, or a session became ready for one."""
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
                    self._put(replace(session, wanted=Wanted.DROP))
            elif session is None:
                self._begin(assigned)
            elif session.row.attempt == assigned.row.attempt and session.wanted is not Wanted.DROP:
                self._rewish(session, assigned)
            else:
                # Another attempt came back here while the last one is still being put away.
                self._next[task] = assigned
                self._put(replace(session, wanted=Wanted.DROP))
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
        for session in tuple(self._sessions.values()):
            if session.wanted in (Wanted.RUN, Wanted.PAUSE):
                self._put(replace(session, wanted=Wanted.GIVE_BACK))
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
        self._put(Session(row=assigned.row, sequence=assigned.sequence, wanted=wanted))

    def _rewish(self, session: Session, assigned: Assigned) -> None:
        changed = rewished(session, assigned.row, assigned.sequence)
        if self._leaving and changed.wanted is not Wanted.DROP:
            changed = replace(changed, wanted=Wanted.GIVE_BACK)
        if session.said_paused and changed.wanted is Wanted.RUN:
            changed = replace(changed, said_paused=False)
            self._tasks.start_soon(self._events.emit, Resumed(**self._about(changed), node=self.node))
        self._put(changed)

    def _put(self, session: Session) -> None:
        """The session is this now: decide its next step with the next pump."""
        before = self._sessions.get(session.task)
        self._sessions[session.task] = session
        self._touched.add(session.task)
        if session.awaits_slot or (before is not None and before.holds_slot and not session.holds_slot):
            self._slots_changed = True

    def _pump(self) -> None:
        """Begin whatever may begin now; what a step changes at once is looked at in a further pass."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._touched or self._slots_changed:
                while self._touched:
                    self._step(self._touched.pop(), admitted=False)
                if self._slots_changed:
                    self._slots_changed = False
                    self._give_slots()
        finally:
            self._pumping = False
        if not self._sessions:
            self._idle.set()

    def _step(self, task: str, *, admitted: bool) -> None:
        session = self._sessions.get(task)
        step = next_step(session, admitted=admitted) if session is not None else None
        if session is not None and step is not None:
            self._do(begun(session, step), step)

    def _give_slots(self) -> None:
        admission = admit(self._sessions.values(), self.slots, max(1, self.slots // PREFETCH_SHARE))
        if small := self.lanes.get(Lane.SMALL):
            small.set_slots(admission.small_slots)
        for task in admission.tasks:
            self._step(task, admitted=True)

    def _do(self, session: Session, step: Step) -> None:
        self._put(session)
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
        self._put(session)
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
            self._put(replace(self._sessions[session.task], lane=str(looked.lane)))
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
        result = self._results.get(session.task)
        if isinstance(result, Placed):
            await self._report_completed(session, result)
        elif isinstance(result, Verdict):
            await self._report_failed(session, result)
        self.signal(session.task, Signal.STORED)

    async def _report_completed(self, session: Session, placed: Placed) -> None:
        event = Completed(
            **self._about(session) | {"attempt": placed.attempt if placed.path else session.row.attempt},
            source=session.row.source,
            retry_of=session.row.retry_of,
            request=public_request(session.row.request) if session.row.request else None,
            node=self.node,
            path=placed.path,
            bytes=placed.bytes,
            digest=placed.digest,
            seconds=round(placed.seconds, 3),
        )
        if await self._events.finish(event) or await self._events.is_own_completion(session.task):
            log.debug("download completed", task=session.task, path=placed.path, bytes=placed.bytes)
            if placed.path:
                await self._workshop.wipe(session.task)
        else:
            log.info("another attempt was first, its file counts", task=session.task, path=placed.path)
            await self._workshop.unplace(session.task)
        self._assignments.settle_for_ever(session.task)
        self._next.pop(session.task, None)  # it has ended: no further attempt begins here

    async def _report_failed(self, session: Session, verdict: Verdict) -> None:
        if verdict.failure in (FailureClass.DAMAGED, FailureClass.PERMANENT):
            await self._workshop.wipe(session.task)
        asked = await self._workshop.retry_after_s(session) if verdict.code in ASKS_TO_WAIT else None
        said = {"failure": str(verdict.failure), "code": verdict.code, "reason": verdict.reason}
        log.warning("attempt failed", task=session.task, attempt=session.row.attempt, **said)
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
        desired = session.row.desired
        if desired is Desired.CANCEL:
            await self._workshop.wipe(session.task)
        reason = f"{self.node} is leaving" if self._leaving else f"{self.node} was asked to {desired}"
        await self._events.report(Released(**self._about(session), node=self.node, reason=reason, desired=desired))
        log.info("task released", task=session.task, attempt=session.row.attempt, reason=reason)
        self._assignments.settle(session.task, session.row.attempt)
        self.signal(session.task, Signal.STORED)

    async def _say_started(self, session: Session) -> None:
        log.debug("download started", task=session.task, attempt=session.row.attempt, lane=session.lane)
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
