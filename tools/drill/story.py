"""What has happened in a drill so far: for the view while it runs, for the report when it is over."""

import time
from collections import Counter
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from msgspec.structs import replace

from schemas.event import AnyEvent, Assigned, Finished, Released, Retrying
from schemas.heartbeat import Heartbeat, Progress
from tools.drill.plan import Fault
from tools.drill.report import Struck
from tools.drill.witness import Witness

STALE_AFTER_S = 3.0
"""Progress comes about once a second: what was not heard for so long does not move."""


class Phase(Enum):
    READY = auto()
    """The storm has not begun."""
    STORM = auto()
    SETTLING = auto()
    """Nothing is struck any more; what was accepted is still to end."""
    BALANCING = auto()


class Moving(NamedTuple):
    progress: Progress
    heard_at: float


class Story:
    """Moments are Unix seconds."""

    def __init__(self, seed: int, tasks: int, seconds: float) -> None:
        self.seed = seed
        self.tasks = tasks
        self.seconds = seconds
        self.phase = Phase.READY
        self.began_at = time.time()
        self.struck: list[Struck] = []
        self.down: dict[str, int] = {}
        """The number of the last fault of each process that is down or frozen now."""
        self.submitted = 0
        self.accepted = 0
        self.repeated = 0
        self.outcomes: dict[str, str] = {}
        """By task."""
        self.last_ended_s = 0.0
        """When the last one of them was stored, in seconds from the beginning."""
        self.counts: Counter[str] = Counter()
        self.retried = 0
        self.spared = 0
        """Blows that were not dealt: what they were meant for had not recovered from the one before."""
        self.on_node: dict[str, str] = {}
        self.leader = ""
        self.epoch = 0
        self.inbox = 0
        self.beats: dict[str, Heartbeat] = {}
        self.on_news: Callable[[str, Struck], None] = lambda _what, _struck: None
        """Told of each blow, thaw and recovery."""
        self._moving: dict[str, Moving] = {}
        self.witness = Witness(self._recovered)

    def __repr__(self) -> str:
        return f"<Story {self.seconds_in:.1f} s, {len(self.struck)} faults, {len(self.outcomes)} of {self.accepted}>"

    @property
    def seconds_in(self) -> float:
        return 0.0 if self.phase is Phase.READY else time.time() - self.began_at

    def begin(self) -> None:
        """The storm begins now."""
        self.began_at = time.time()
        self.phase = Phase.STORM

    @property
    def recovering(self) -> list[Struck]:
        """What was struck and is not itself again."""
        return [self.struck[number] for number in self.witness.open]

    def hit(self, fault: Fault, target: str) -> int:
        """`target` was struck just now; the number of this fault."""
        now = time.time()
        number = len(self.struck)
        self.struck.append(Struck(round(now - self.began_at, 3), fault.kind, target, fault.for_s))
        self.witness.struck(number, fault.kind, target, now)
        self.down[target] = number
        self.on_news("struck", self.struck[number])
        return number

    def back(self, number: int) -> None:
        """What was struck runs again."""
        target = self.struck[number].target
        if self.down.get(target) == number:
            del self.down[target]
        self.witness.back(number, time.time())

    def _recovered(self, number: int, at: float, how: str) -> None:
        struck = self.struck[number]
        seconds = round(max(0.0, at - self.began_at - struck.at_s), 3)
        self.struck[number] = replace(struck, recovered_s=seconds, how=how)
        self.on_news("recovered", self.struck[number])

    def happened(self, event: AnyEvent, stored_at: float) -> None:
        match event:
            case Assigned():
                self.on_node[event.task] = event.node
            case Retrying():
                self.retried += 1
                self.on_node.pop(event.task, None)
            case Released():
                self.on_node.pop(event.task, None)
            case Finished():
                self.on_node.pop(event.task, None)
                self._moving.pop(event.task, None)
                if event.task not in self.outcomes:
                    outcome = event.kind.removeprefix("finished.")
                    self.outcomes[event.task] = outcome
                    self.counts[outcome] += 1
                    self.last_ended_s = max(self.last_ended_s, stored_at - self.began_at)
        self.witness.happened(event, stored_at)

    def moved(self, progress: Progress) -> None:
        now = time.time()
        if progress.task not in self.outcomes:
            self._moving[progress.task] = Moving(progress, now)
        self.witness.moved(progress, now)

    def beat(self, heartbeat: Heartbeat) -> None:
        self.beats[heartbeat.node] = heartbeat
        self.witness.beat(heartbeat, time.time())

    def answered(self, leader: str, epoch: int, inbox: int, asked_at: float) -> None:
        """The leading coordinator told of itself."""
        self.leader, self.epoch, self.inbox = leader, epoch, inbox
        self.witness.answered(asked_at, time.time())

    def moving(self) -> list[Progress]:
        """Transfers that were heard of lately."""
        now = time.time()
        self._moving = {task: one for task, one in self._moving.items() if now - one.heard_at < STALE_AFTER_S}
        return [one.progress for one in self._moving.values()]
