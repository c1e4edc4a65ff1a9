"""Does what a session's phase is: look, hand over to aria2, check, place, report. What comes of it is for the agent."""

from typing import NoReturn, Protocol

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import replace

from node.closing import Closer
from node.daemon import Lane
from node.disk import Disk
from node.extents import Extents
from node.failures import Verdict
from node.files import Placed
from node.finishing import NextPart, disk_trouble
from node.gathering import Gathering
from node.lane import LaneDriver
from node.reporter import Reporter
from node.session import Phase, Session, Signal, Wanted
from node.workshop import Workshop

FINISH_MAX = 16
"""Small files in one trip to the disk: their folder is synced once."""
REPORT_MAX = 64
INTERRUPTIBLE = frozenset({Phase.PROBING, Phase.ADDING})


class Board(Protocol):
    """Where the sessions of a node stand."""

    lanes: dict[str, LaneDriver]

    def session(self, task: str) -> Session | None: ...

    def put(self, session: Session) -> None:
        """The session is this now."""

    def signal(self, task: str, signal: Signal) -> None:
        """A step of a session is over."""

    def over(self, session: Session) -> None:
        """Its task has ended: no further attempt begins here."""


class Carrier:
    """Works on the sessions of one agent, each by a task of its own unless many are worked on together."""

    def __init__(
        self,
        board: Board,
        *,
        reporter: Reporter,
        closer: Closer,
        workshop: Workshop,
        disk: Disk,
        extents: Extents,
        tasks: TaskGroup,
    ) -> None:
        self.is_leaving = False
        """What is given back from now on is because the node leaves."""
        self._board = board
        self._reporter = reporter
        self._closer = closer
        self._workshop = workshop
        self._disk = disk
        self._extents = extents
        self._tasks = tasks
        self._carried: dict[str, anyio.CancelScope] = {}
        """Sessions that a task of this process works on."""
        self._results: dict[str, Placed | Verdict | None] = {}
        self._reasons: dict[str, str] = {}
        """Why tasks are given back, where it is the disk."""
        self._fresh: set[str] = set()
        """Nothing is staged of them."""
        self._unprepared: set[str] = set()
        """Admitted, and what is staged of them is still to be looked at."""
        self._whole: Gathering[Session] = Gathering()
        self._placed: Gathering[Session] = Gathering()

    def __repr__(self) -> str:
        return f"<Carrier of {len(self._carried)} sessions>"

    def is_carried(self, task: str) -> bool:
        return task in self._carried

    def carried(self) -> frozenset[str]:
        return frozenset(self._carried)

    def interrupt(self, task: str) -> None:
        """What works on it stops, unless it has come to an end; `vanished` will follow."""
        self._carried[task].cancel()

    def probe(self, session: Session) -> None:
        self._carry(session)

    def add(self, session: Session) -> None:
        """Hand it to its lane, at once where nothing need be looked at first."""
        if session.task in self._fresh and session.lane == Lane.SMALL:
            self._hand_over(session)
        else:
            self._unprepared.add(session.task)
            self._carry(session)

    def fail(self, session: Session, verdict: Verdict) -> None:
        """A lane says why its attempt is over."""
        self._results[session.task] = self._workshop.explained(session, verdict)

    def reason(self, task: str, why: str) -> None:
        """Why it will be given back."""
        self._reasons[task] = why

    def give_back(self, session: Session) -> None:
        self._results.pop(session.task, None)  # of a try that was stopped
        self._carry(session)

    def finish(self, session: Session) -> None:
        """Check and place a whole file: small ones many at a time."""
        if self._is_quickly_checked(session):
            self._whole.put(session)
        else:
            self._carry(session)

    def report(self, session: Session) -> None:
        """Tell the broker what came of it: whole files many at a time."""
        if isinstance(self._results.get(session.task), Placed):
            self._placed.put(session)
        else:
            self._carry(session)

    def forget(self, task: str) -> None:
        """Its attempt is over."""
        self._results.pop(task, None)
        self._reasons.pop(task, None)
        self._fresh.discard(task)
        self._workshop.forget(task)

    async def finish_small(self) -> NoReturn:
        """Check and place small files, as many at a time as are whole, until cancelled."""
        while True:
            sessions = await self._whole.take(FINISH_MAX)
            now = anyio.current_time()
            results = await self._workshop.finish([(session, now - session.started_at) for session in sessions])
            for session, result in zip(sessions, results, strict=True):
                if isinstance(result, Placed):
                    await self._reporter.progress(session, None, whole=result.bytes)
                self._finished(session, result)

    async def report_completed(self) -> NoReturn:
        """Report whole files, as many at a time as are placed, until cancelled."""
        while True:
            placed = [(session, self._what_was_placed(session)) for session in await self._placed.take(REPORT_MAX)]
            first = await self._closer.completed(placed)
            for (session, result), was_first in zip(placed, first, strict=True):
                if was_first:
                    self._board.over(session)
                else:
                    self._tasks.start_soon(self._close_second, session, result)

    def _carry(self, session: Session) -> None:
        """See to it that somebody does what the session's phase is: a new task, unless one carries it already."""
        if session.task not in self._carried:
            scope = self._carried[session.task] = anyio.CancelScope()
            self._tasks.start_soon(self._carry_interruptibly, session.task, scope)

    async def _carry_interruptibly(self, task: str, scope: anyio.CancelScope) -> None:
        with scope:
            await self._carry_on(task)
        if scope.cancelled_caught and (session := self._board.session(task)) is not None:
            if session.phase in INTERRUPTIBLE:
                self._unprepared.discard(task)
                self._board.signal(task, Signal.VANISHED)
            else:
                self._carry(session)  # it had come further by then

    async def _carry_on(self, task: str) -> None:
        """Do what a session's phase is, phase after phase, until that is for others to do."""
        try:
            while (session := self._board.session(task)) is not None:
                match session.phase:
                    case Phase.PROBING:
                        await self._probe(session)
                    case Phase.ADDING if task in self._unprepared:
                        if await self._prepare(session):
                            return
                    case Phase.VERIFYING if not self._is_quickly_checked(session):
                        await self._finish(session)
                    case Phase.REPORTING if not isinstance(self._results.get(task), Placed):
                        await self._report(session)
                    case _:
                        return
        finally:
            self._carried.pop(task, None)

    async def _probe(self, session: Session) -> None:
        task = session.task
        looked = await self._workshop.look(session)
        if looked.is_fresh:
            self._fresh.add(task)
        self._extents.told(task, looked.size)
        if looked.parts is not None:
            self._extents.parts(task, looked.parts.done, looked.parts.total)
        if looked.lane is not None and (now := self._board.session(task)) is not None:
            self._board.put(replace(now, lane=str(looked.lane)))
        self._results[task] = looked.placed or looked.verdict
        done = Signal.FOUND if looked.placed else Signal.FAILED if looked.verdict else Signal.PROBED
        self._board.signal(task, done)

    async def _prepare(self, session: Session) -> bool:
        """Make what is staged fit to go on with and hand the task to its lane; False where disk or origin refuse."""
        task = session.task
        self._unprepared.discard(task)
        try:
            refused = await self._workshop.prepare(session)
        except TimeoutError:
            self._board.signal(task, Signal.VANISHED)  # the look at the disk finds out why
            return False
        except OSError as error:
            refused = disk_trouble(error)
        if refused is not None:
            self._results[task] = refused
            self._board.signal(task, Signal.FAILED)
            return False
        now = self._board.session(task)
        if now is not None and (now.is_held or now.wanted is not Wanted.RUN):
            self._board.signal(task, Signal.VANISHED)
            return False
        self._hand_over(now or session)  # as it is wished by now
        return True

    def _hand_over(self, session: Session) -> None:
        self._fresh.discard(session.task)
        addition = self._workshop.addition(session)
        self._board.lanes[session.lane].add(replace(addition, size=addition.size or self._extents.size(session)))

    def _is_quickly_checked(self, session: Session) -> bool:
        """Small, and the origin need not be asked again."""
        return session.lane == Lane.SMALL and not self._workshop.has_doubts(session)

    async def _finish(self, session: Session) -> None:
        """Check and place a file where that takes a while; others go on beside it."""
        await self._reporter.progress(session, self._extents.transfer(session))
        if self._workshop.has_more(session):
            await self._go_on(session)
            return
        if self._workshop.has_doubts(session) and (verdict := await self._workshop.second_look(session)):
            self._finished(session, verdict)
            return
        (result,) = await self._workshop.finish([(session, anyio.current_time() - session.started_at)])
        self._finished(session, result)

    async def _go_on(self, session: Session) -> None:
        """A part of the task is whole: make the next one ready."""
        found = await self._workshop.go_on(session)
        if isinstance(found, Verdict):
            self._finished(session, found)
            return
        self._extents.told(session.task, found)
        self._board.signal(session.task, Signal.PART)

    def _finished(self, session: Session, result: Placed | NextPart | Verdict) -> None:
        if isinstance(result, NextPart):
            self._extents.parts(session.task, result.progress.done, result.progress.total)
            if (now := self._board.session(session.task)) is not None:
                self._board.put(replace(now, lane=str(result.lane)))
            self._board.signal(session.task, Signal.PART)
            return
        if isinstance(result, Placed) and not result.is_shared:
            self._disk.placed(result.bytes)
        self._results[session.task] = result
        self._board.signal(session.task, Signal.PLACED if isinstance(result, Placed) else Signal.FAILED)

    def _what_was_placed(self, session: Session) -> Placed:
        placed = self._results[session.task]
        assert isinstance(placed, Placed)
        return placed

    async def _close_second(self, session: Session, placed: Placed) -> None:
        await self._closer.came_second(session, placed)
        self._board.over(session)

    async def _report(self, session: Session) -> None:
        """Report an attempt that is over without a file."""
        task = session.task
        result, size = self._results.get(task), self._extents.known(task)
        if isinstance(result, Verdict):
            await self._closer.failed(session, result, size)
        else:
            await self._closer.given_back(session, self._reasons.get(task, ""), size, leaving=self.is_leaving)
        self._board.signal(task, Signal.STORED)
