"""Keeps this node's downloads in step with the table: one session a task, one next step at a time."""

from collections.abc import Sequence

import anyio
import structlog
from anyio.abc import TaskGroup
from msgspec.structs import replace

from node.admission import admit
from node.assignments import Assigned, Change
from node.carrier import Carrier
from node.closing import Closer
from node.daemon import Lane
from node.defaults import limits_of
from node.disk import Disk
from node.extents import Extents
from node.failures import Verdict
from node.lane import LaneDriver
from node.news import News
from node.reporter import Reporter, shown
from node.room import Download, fits
from node.session import Phase, Session, Signal, Step, Wanted, after, begun, goes_on, next_step, rewished, wanted_of
from node.workshop import Workshop
from schemas.heartbeat import Held
from schemas.task import FailureClass, TaskRow

log = structlog.get_logger()

PREFETCH_TIMES = 4
"""So many times the slots may wait inside the small lane: the coordinator never sends more, and mostly far less."""
DOWNLOADING = frozenset({Phase.WAITING, Phase.PROBING, Phase.ADDING, Phase.ACTIVE})
"""Not yet whole: these take more of the disk."""
CONNECTION_BROKE = frozenset({"aria2-1", "aria2-2", "aria2-6"})
OUTGROWN = "its origin told no size, and it turned out larger than this node's disk has room for"
KEPT_AFTER_S = 2.0
"""A small file that takes longer may be interrupted: what it was begun from is written down."""


class Agent:
    """All sessions of a node. Everything that happens goes through `_advance`, one task at a time."""

    def __init__(
        self,
        node: str,
        slots: int,
        *,
        reporter: Reporter,
        closer: Closer,
        workshop: Workshop,
        disk: Disk,
        tasks: TaskGroup,
    ) -> None:
        self.node = node
        self.slots = slots
        self.lanes: dict[str, LaneDriver] = {}
        self._reporter = reporter
        self._workshop = workshop
        self._disk = disk
        self._sessions: dict[str, Session] = {}
        self._next: dict[str, Assigned] = {}
        self._is_holding = False
        """What counts against a limit is not to run."""
        self.is_paused = False
        """An operator paused the node: nothing is to run."""
        self._extents = Extents(self.lanes)
        self.carrier = Carrier(
            self, reporter=reporter, closer=closer, workshop=workshop, disk=disk, extents=self._extents, tasks=tasks
        )
        self._leaving = False
        self._begins = True
        """Whether what is held and has not begun may."""
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
        return tuple(Held(session.task, session.row.attempt, shown(session)) for session in self._sessions.values())

    def session(self, task: str) -> Session | None:
        return self._sessions.get(task)

    def tasks(self) -> frozenset[str]:
        return frozenset(self._sessions)

    def unfinished(self) -> list[Download]:
        """Downloads that take, or will take, room on the disk, in the order in which they came."""
        return [
            self._download(one)
            for one in sorted(self._sessions.values(), key=lambda one: one.sequence)
            if one.wanted is Wanted.RUN and one.phase in DOWNLOADING
        ]

    def _download(self, session: Session) -> Download:
        growing = self._extents.growing(session) if session.phase is Phase.ACTIVE else None
        has, speed = (growing.done, growing.speed) if growing is not None else (0, 0)
        has_begun = not self._workshop.is_fresh(session.task)
        return Download(session.task, has_begun, self._extents.left(session), has, speed)

    def outgrow(self, tasks: Sequence[str]) -> None:
        """These told no size and turn out larger than the disk has room for: their attempts fail."""
        for task in tasks:
            if (session := self._sessions.get(task)) is not None and session.phase is Phase.ACTIVE:
                self.lanes[session.lane].give_up(task, Verdict(FailureClass.NODE, "disk", OUTGROWN))

    def stop_oversized(self) -> None:
        """What has, or will have, more bytes than its request says fails now, as it would at its end."""
        for session in tuple(self._sessions.values()):
            if session.phase is not Phase.ACTIVE:
                continue
            asked = self._workshop.asked_bytes(session)
            if asked is not None and self._extents.present(session) > asked:
                reason = f"the file has more than the {asked} bytes that were expected"
                self.lanes[session.lane].give_up(session.task, Verdict(FailureClass.DAMAGED, "size-mismatch", reason))

    def obey(self, slots: int, *, begins: bool) -> None:
        """Run so many at once from now on; what runs beyond is finished. Unless it `begins`, nothing more does."""
        is_less = slots < self.slots or self._begins > begins
        self.slots, self._begins = slots, begins
        for name, lane in self.lanes.items():
            if name != Lane.SMALL:
                lane.set_slots(slots)
        if is_less:
            self._take_back_waiting()
        self._slots_changed = True
        self._pump()

    def pause(self, *, is_paused: bool) -> None:
        """Stop all that runs, or let it go on. It stays here, and so does what is on the disk."""
        self.is_paused = is_paused
        self._hold_what_must_be()

    def _take_back_waiting(self) -> None:
        """Small files that wait inside aria2 would begin whatever is said now: it gives them back."""
        for session in tuple(self._sessions.values()):
            is_handed_over = session.phase in (Phase.ADDING, Phase.ACTIVE) and not self.carrier.is_carried(session.task)
            if is_handed_over and session.lane == Lane.SMALL and not session.started_at:
                self.lanes[Lane.SMALL].remove(session.task)

    def give_back(self, tasks: Sequence[str], reason: str) -> None:
        """These can't stay: what runs is stopped first. What the disk kept from beginning is looked at anew."""
        self._slots_changed = True
        for task in tasks:
            if (session := self._sessions.get(task)) is None or session.wanted is not Wanted.RUN:
                continue  # it ended meanwhile, or has to go for another reason
            self.carrier.reason(task, reason)
            self._extents.keep(session)
            self._heed(replace(session, wanted=Wanted.GIVE_BACK))
        self._pump()

    def hold(self, *, is_held: bool) -> int:
        """Stop what counts against a limit and let nothing of it begin, or let it go on. How many are held.

        What is on the disk stays there.
        """
        self._is_holding = is_held
        self._hold_what_must_be()
        return sum(session.row.limited for session in self._sessions.values()) if is_held else 0

    def _hold_what_must_be(self) -> None:
        for session in tuple(self._sessions.values()):
            is_held = self._must_be_held(session.row)
            if session.is_held is not is_held:
                self._slots_changed = True
                self.put(replace(session, is_held=is_held))
                if is_held:
                    self._interrupt(session)
        self._pump()

    def _must_be_held(self, row: TaskRow) -> bool:
        return self.is_paused or (self._is_holding and row.limited)

    def _interrupt(self, session: Session) -> None:
        """What is to be stopped and is not with aria2 yet does not get there."""
        if session.phase in (Phase.PROBING, Phase.ADDING):
            if self.carrier.is_carried(session.task):
                self.carrier.interrupt(session.task)
            elif session.phase is Phase.ADDING:
                self.lanes[session.lane].remove(session.task)

    def kill_held(self) -> None:
        """Kill each aria2c that still has something that is held."""
        held = [one for one in self._sessions.values() if one.is_held and one.row.limited and one.holds_slot]
        for lane in {one.lane for one in held}:
            log.warning("aria2c is killed: it did not stop in time what counts against a limit", lane=lane)
            self.lanes[lane].kill()

    def take(self, changes: list[Change]) -> None:
        """The table changed for these tasks."""
        for task, assigned in changes:
            session = self._sessions.get(task)
            if assigned is None:
                self._next.pop(task, None)
                if session is not None:
                    self._heed(replace(session, wanted=Wanted.DROP))
            elif session is None:
                self._begin(assigned)
            elif session.row.attempt == assigned.row.attempt and session.wanted is not Wanted.DROP:
                self._rewish(session, assigned)
            else:
                # Another attempt came back here while the last one is still being put away.
                self._next[task] = assigned
                self._heed(replace(session, wanted=Wanted.DROP))
        self._pump()

    def hear(self, news: Sequence[News]) -> None:
        """A lane tells what became of transfers."""
        for task, signal, verdict, done in news:
            session = self._sessions.get(task)
            if session is None:
                continue
            if verdict is not None and verdict.code in CONNECTION_BROKE and goes_on(session, done):
                self._advance(replace(session, cuts=session.cuts + 1, cut_at=done), Signal.CUT)
                continue
            if verdict is not None:
                self.carrier.fail(session, verdict)
                self._extents.keep(session)
            self._advance(session, signal)
        self._pump()

    def signal(self, task: str, signal: Signal) -> None:
        """A step of a session is over."""
        self.hear([News(task, signal)])

    def over(self, session: Session) -> None:
        """Its task has ended: no further attempt begins here."""
        self._next.pop(session.task, None)
        self.signal(session.task, Signal.STORED)

    async def leave(self) -> None:
        """Stop and give everything back; returns when it is reported."""
        self._leaving = self.carrier.is_leaving = True
        for session in tuple(self._sessions.values()):
            if session.wanted in (Wanted.RUN, Wanted.PAUSE):
                self._heed(replace(session, wanted=Wanted.GIVE_BACK))
        self._pump()
        while self._sessions:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def publish_progress(self) -> None:
        """One message for each running transfer; what those that take long were begun from is kept."""
        now = anyio.current_time()
        for session in tuple(self._sessions.values()):
            if session.phase is Phase.ACTIVE and session.started_at:
                await self._reporter.progress(session, self._extents.transfer(session))
                if now - session.started_at > KEPT_AFTER_S:
                    self._workshop.keep(session)

    def _begin(self, assigned: Assigned) -> None:
        wanted = wanted_of(assigned.row)
        if self._leaving:
            wanted = Wanted.GIVE_BACK
        is_held = self._must_be_held(assigned.row)
        self.put(Session(row=assigned.row, sequence=assigned.sequence, wanted=wanted, is_held=is_held))

    def _rewish(self, session: Session, assigned: Assigned) -> None:
        changed = rewished(session, assigned.row, assigned.sequence)
        changed = replace(changed, is_held=self._must_be_held(changed.row))
        if session.lane and limits_of(changed.row) != limits_of(session.row):
            self.lanes[session.lane].limit(session.task, limits_of(changed.row))
        if self._leaving and changed.wanted is not Wanted.DROP:
            changed = replace(changed, wanted=Wanted.GIVE_BACK)
        if session.said_paused and changed.wanted is Wanted.RUN:
            changed = replace(changed, said_paused=False)
            self._reporter.say_resumed(changed)
        self._heed(changed)

    def _heed(self, session: Session) -> None:
        """Something else is wished of it: if not to run, neither an origin nor a lane is waited for."""
        self.put(session)
        if session.wanted is not Wanted.RUN:
            self._interrupt(session)

    def put(self, session: Session) -> None:
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
        slots = self.slots if self._begins else 0
        admission = admit(self._sessions.values(), slots, PREFETCH_TIMES * slots)
        if small := self.lanes.get(Lane.SMALL):
            small.set_slots(admission.small_slots)
        for task in admission.tasks:
            if self._may_begin(self._sessions[task]):
                self._step(task, admitted=True)
        is_awaited = any(one.awaits_slot for one in self._sessions.values())
        for lane in self.lanes.values():
            lane.await_slot(is_awaited=is_awaited)

    def _may_begin(self, session: Session) -> bool:
        """Whether the disk lets it; if not, it waits until the next look gives it back."""
        if not self._workshop.is_fresh(session.task):
            return self._disk.room.is_writable  # what lies here in part may go on where nothing new begins
        # Small ones come and go too fast to be added up, and take little.
        running = [one for one in self._sessions.values() if one.holds_slot] if session.lane != Lane.SMALL else []
        return fits(
            self._disk.room, self._extents.left(session), sum(map(self._extents.left, running)), self._disk.marks
        )

    def _do(self, session: Session, step: Step) -> None:
        self.put(session)
        match step:
            case Step.PROBE:
                self.carrier.probe(session)
            case Step.ADD:
                self.carrier.add(session)
            case Step.GIVE_BACK:
                self.carrier.give_back(session)
            case Step.REMOVE:
                self.lanes[session.lane].remove(session.task)
            case Step.SAY_PAUSED:
                self._reporter.say_paused(session)
            case Step.LET_GO:
                self._end(session)

    def _advance(self, session: Session, signal: Signal) -> None:
        """Take one step through the table and start what the new phase is."""
        session = replace(after(session, signal), is_seeding=signal is Signal.SEEDS)
        if signal is Signal.ADDED:
            session = replace(session, added_at=anyio.current_time())
        if signal is Signal.STARTED and not session.started_at:
            # It began somewhen after the look before: a small file may be whole when it is first seen to run.
            began_at = max(session.added_at, self.lanes[session.lane].looked_before)
            session = replace(session, started_at=began_at)
            self._reporter.say_started(session)
        self.put(session)
        match session.phase:
            case Phase.VERIFYING:
                self.carrier.finish(session)
            case Phase.REPORTING:
                self.carrier.report(session)
            case Phase.OVER:
                self._end(session)

    def _end(self, session: Session) -> None:
        self._sessions.pop(session.task, None)
        self._extents.forget(session.task)
        self.carrier.forget(session.task)
        for lane in self.lanes.values():
            lane.forget(session.task)
        if following := self._next.pop(session.task, None):
            self._begin(following)
