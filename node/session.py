"""One download on this node, as a state machine: what it is doing, what to do next. Pure.

What is wished (`Wanted`) is a level, not an event: whenever a step ends, the next one is decided from the
phase and the wish alone, so that a wish that changes twice in the meantime does no harm.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from schemas.errors import IllegalTransition
from schemas.lifecycle import Desired
from schemas.task import UNLESS_BEGUN, TaskRow

CUTS_MAX = 2
"""As aria2 itself would go on, but with a look at the origin's file in between."""


class Wanted(StrEnum):
    RUN = "run"
    PAUSE = "pause"
    GIVE_BACK = "give_back"
    """Stop and report `released`: a cancel, a move to another node, or this node is leaving."""
    DROP = "drop"
    """Stop and say nothing: the row is gone."""


class Phase(StrEnum):
    WAITING = "waiting"
    """In nobody's hands: the next step may begin."""
    PROBING = "probing"
    ADDING = "adding"
    ACTIVE = "active"
    """aria2 has it."""
    REMOVING = "removing"
    VERIFYING = "verifying"
    """The whole file is hashed and moved to its place."""
    REPORTING = "reporting"
    OVER = "over"


class Step(StrEnum):
    """What the node should begin now."""

    PROBE = "probe"
    ADD = "add"
    REMOVE = "remove"
    SAY_PAUSED = "say_paused"
    GIVE_BACK = "give_back"
    LET_GO = "let_go"


class Signal(StrEnum):
    """What happened to a step, or to the transfer."""

    PROBED = "probed"
    ADDED = "added"
    STARTED = "started"
    """aria2 runs it: until then it waits inside its lane."""
    WHOLE = "whole"
    """aria2 has every byte."""
    FAILED = "failed"
    """This attempt is over: aria2 says so, the origin is refused, or the file is wrong."""
    SEEDS = "seeds"
    """Every byte is there, and aria2 goes on to give them to others, as it was asked to."""
    CUT = "cut"
    """The connection broke, but bytes came: go on from there within the attempt."""
    VANISHED = "vanished"
    """aria2 knows nothing of it: it was removed as asked, never got there, or its daemon is a new one."""
    FOUND = "found"
    """An earlier process of this node finished it and did not get to say so."""
    PART = "part"
    """A part of the task is whole, a file of a metalink or the torrent behind a magnet link: the next part is due."""
    PLACED = "placed"
    STORED = "stored"
    """The broker has the report."""


TABLE: dict[tuple[Phase, Signal], Phase] = {
    (Phase.PROBING, Signal.PROBED): Phase.WAITING,
    (Phase.PROBING, Signal.FAILED): Phase.REPORTING,
    (Phase.PROBING, Signal.FOUND): Phase.REPORTING,
    (Phase.PROBING, Signal.VANISHED): Phase.WAITING,
    (Phase.ADDING, Signal.ADDED): Phase.ACTIVE,
    (Phase.ADDING, Signal.FAILED): Phase.REPORTING,
    (Phase.ADDING, Signal.VANISHED): Phase.WAITING,
    (Phase.ACTIVE, Signal.STARTED): Phase.ACTIVE,
    (Phase.ACTIVE, Signal.SEEDS): Phase.ACTIVE,
    (Phase.ACTIVE, Signal.WHOLE): Phase.VERIFYING,
    (Phase.ACTIVE, Signal.FAILED): Phase.REPORTING,
    (Phase.ACTIVE, Signal.CUT): Phase.WAITING,
    (Phase.ACTIVE, Signal.VANISHED): Phase.WAITING,
    (Phase.REMOVING, Signal.STARTED): Phase.REMOVING,
    (Phase.REMOVING, Signal.SEEDS): Phase.REMOVING,
    (Phase.REMOVING, Signal.VANISHED): Phase.WAITING,
    # The last byte came while it was being stopped: the first whole file wins.
    (Phase.REMOVING, Signal.WHOLE): Phase.VERIFYING,
    (Phase.REMOVING, Signal.FAILED): Phase.WAITING,
    (Phase.VERIFYING, Signal.PLACED): Phase.REPORTING,
    (Phase.VERIFYING, Signal.FAILED): Phase.REPORTING,
    (Phase.VERIFYING, Signal.PART): Phase.WAITING,
    (Phase.REPORTING, Signal.STORED): Phase.OVER,
}

BEGINS: dict[Step, Phase] = {
    Step.PROBE: Phase.PROBING,
    Step.ADD: Phase.ADDING,
    Step.REMOVE: Phase.REMOVING,
    Step.SAY_PAUSED: Phase.WAITING,
    Step.GIVE_BACK: Phase.REPORTING,
    Step.LET_GO: Phase.OVER,
}


class Session(Struct, frozen=True, kw_only=True):
    """One attempt on this node."""

    row: TaskRow
    sequence: int
    """Of the row in the table: orders sessions and tells old news from new."""
    phase: Phase = Phase.WAITING
    wanted: Wanted = Wanted.RUN
    lane: str = ""
    """Empty until the probe has chosen one."""
    added_at: float = 0.0
    """When aria2 took it, monotonic seconds; 0 before."""
    started_at: float = 0.0
    """When aria2 first ran it, monotonic seconds; 0 before."""
    is_held: bool = False
    """To stop, or not to begin: it counts against a limit, and it is not sure that no other node has it."""
    said_paused: bool = False
    is_seeding: bool = False
    """A torrent that is whole, and given to others."""
    cuts: int = 0
    """How often its connection broke, or that of its present part."""
    cut_at: int = 0
    """Bytes it had when that happened last."""

    @property
    def task(self) -> str:
        return self.row.task

    @property
    def holds_slot(self) -> bool:
        """Whether it counts against the node's slots: aria2 has it or is about to."""
        return self.phase in (Phase.ADDING, Phase.ACTIVE, Phase.REMOVING)

    @property
    def awaits_slot(self) -> bool:
        """Probed and waiting; what is verified or reported needs no slot any more, however long that takes."""
        return bool(self.lane) and self.phase is Phase.WAITING and self.wanted is Wanted.RUN and not self.is_held


def wanted_of(row: TaskRow) -> Wanted:
    """What a row wishes of the node that holds it."""
    return {
        Desired.RUN: Wanted.RUN,
        Desired.PAUSE: Wanted.PAUSE,
        Desired.CANCEL: Wanted.GIVE_BACK,
        Desired.RELEASE: Wanted.GIVE_BACK,
    }[row.desired]


def next_step(session: Session, *, admitted: bool) -> Step | None:
    """What to begin now; None while a step is under way or there is nothing to do."""
    if session.phase is Phase.ACTIVE and (session.wanted is not Wanted.RUN or session.is_held):
        return Step.REMOVE
    if session.phase is not Phase.WAITING:
        return None
    match session.wanted:
        case Wanted.RUN if session.is_held:
            return None
        case Wanted.RUN if not session.lane:
            return Step.PROBE
        case Wanted.RUN:
            return Step.ADD if admitted else None
        case Wanted.PAUSE:
            return None if session.said_paused else Step.SAY_PAUSED
        case Wanted.GIVE_BACK:
            return Step.GIVE_BACK
        case Wanted.DROP:
            return Step.LET_GO


def begun(session: Session, step: Step) -> Session:
    """The session once `step` has begun."""
    said_paused = step is Step.SAY_PAUSED or (session.said_paused and step is not Step.ADD)
    return replace(session, phase=BEGINS[step], said_paused=said_paused)


def after(session: Session, signal: Signal) -> Session:
    """The session after `signal`. Raises IllegalTransition where the table has no such step."""
    try:
        phase = TABLE[session.phase, signal]
    except KeyError:
        raise IllegalTransition(f"a session that is {session.phase} can't be {signal}") from None
    if signal is Signal.PART:
        return replace(session, phase=phase, cuts=0, cut_at=0)
    return replace(session, phase=phase)


def goes_on(session: Session, done: int) -> bool:
    """Whether a transfer whose connection broke with `done` bytes is continued within the attempt."""
    return session.phase is Phase.ACTIVE and session.cuts < CUTS_MAX and done > session.cut_at


def has_begun(session: Session) -> bool:
    """Whether aria2 ran it at some time: its origin has been asked for the file."""
    return session.started_at > 0 or session.phase in (Phase.VERIFYING, Phase.REPORTING)


def rewished(session: Session, row: TaskRow, sequence: int) -> Session:
    """The same attempt under a newer row."""
    wanted = session.wanted if session.wanted is Wanted.DROP else wanted_of(row)
    if wanted is Wanted.GIVE_BACK and row.code in UNLESS_BEGUN and has_begun(session):
        wanted = Wanted.PAUSE if row.then is Desired.PAUSE else Wanted.RUN  # asked back lest it begin
    return replace(session, row=row, sequence=sequence, wanted=wanted)
