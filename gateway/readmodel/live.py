"""What nodes say of what runs: progress, heartbeats, and how fast all of it was lately. Stored nowhere."""

from collections import deque
from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from gateway.readmodel.changes import Runs
from gateway.readmodel.nodehistory import NodeHistory
from schemas.heartbeat import RUNNING_PHASES, Heartbeat, Held, Progress
from schemas.lifecycle import FINISHED
from schemas.view import TaskView

PROGRESS_FOR_S = 15.0
"""A transfer that said nothing for so long does not run any more, or nobody can tell."""
NODE_FOR_S = 10.0
"""A node that said nothing for so long adds nothing to the speed."""
FORGET_AFTER_S = 3600.0
"""… and after so long it is not known any more."""
SAMPLE_S = 10
SAMPLES_MAX = 60
"""Ten minutes."""


class Speed(Struct, frozen=True):
    """How fast the whole cluster was at a moment."""

    time: datetime
    bytes_per_s: int


class Live:
    """What was heard last."""

    def __init__(self) -> None:
        self.progress: dict[str, Progress] = {}
        self.heartbeats: dict[str, Heartbeat] = {}
        self.speeds: deque[Speed] = deque(maxlen=SAMPLES_MAX)
        """One every SAMPLE_S."""
        self.nodes = NodeHistory(SAMPLES_MAX)
        """The same of each node."""
        self._progress_at: dict[str, float] = {}
        self._beat_at: dict[str, float] = {}
        self._held: dict[str, dict[str, Held]] = {}

    def __repr__(self) -> str:
        return f"<Live of {len(self.heartbeats)} nodes, {len(self.progress)} transfers>"

    def is_running(self, task: str, node: str, attempt: int) -> bool:
        """Whether that node said last that it is at work on this very attempt."""
        held = self._held.get(node, {}).get(task)
        return held is not None and held.attempt == attempt and held.phase in RUNNING_PHASES

    def phase(self, view: TaskView) -> str:
        """What its node does with a task just now."""
        held = self._held.get(view.node, {}).get(view.task)
        return held.phase if held is not None and held.attempt == view.attempt and view.state not in FINISHED else ""

    def progress_of(self, view: TaskView) -> Progress | None:
        """What was said last of this very attempt."""
        told = self.progress.get(view.task)
        return told if told is not None and told.attempt == view.attempt and view.state not in FINISHED else None

    def progress_came(self, progress: Progress, now: float) -> None:
        self.progress[progress.task] = progress
        self._progress_at[progress.task] = now

    def ended(self, task: str) -> None:
        self.progress.pop(task, None)
        self._progress_at.pop(task, None)

    def beat_came(self, beat: Heartbeat, now: float) -> Iterator[Runs]:
        """What has begun and what is over since the node's last one."""
        before = self._held.get(beat.node, {})
        after = {held.task: held for held in beat.held}
        self.heartbeats[beat.node], self._held[beat.node], self._beat_at[beat.node] = beat, after, now
        for held in before.values():
            if held.phase in RUNNING_PHASES and not self.is_running(held.task, beat.node, held.attempt):
                yield Runs(held.task, held.attempt, beat.node, active=False)
        for held in after.values():
            was = before.get(held.task)
            ran = was is not None and was.attempt == held.attempt and was.phase in RUNNING_PHASES
            if held.phase in RUNNING_PHASES and not ran:
                yield Runs(held.task, held.attempt, beat.node, active=True)

    def speed(self, now: float) -> int:
        """Bytes a second of all nodes that are heard."""
        return sum(beat.bytes_per_s for beat in self.heard(now))

    def heard(self, now: float) -> list[Heartbeat]:
        """Of the nodes that are not silent."""
        return [beat for node, beat in self.heartbeats.items() if self.hears(node, now)]

    def hears(self, node: str, now: float) -> bool:
        """Whether there is such a node, and it is not silent."""
        return node in self._beat_at and now - self._beat_at[node] <= NODE_FOR_S

    def sample(self, moment: datetime, now: float) -> None:
        """Take down the speed and how nodes stand, and forget whoever is silent."""
        self.speeds.append(Speed(moment, self.speed(now)))
        self.nodes.sample(moment, self.heard(now))
        for task in [task for task, at in self._progress_at.items() if now - at > PROGRESS_FOR_S]:
            self.ended(task)
        for node in [node for node, at in self._beat_at.items() if now - at > FORGET_AFTER_S]:
            del self.heartbeats[node], self._held[node], self._beat_at[node]
