"""What `watch` knows and shows: many tasks at once, live. State and drawing; listening is elsewhere."""

from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from rich.text import Text

from schemas.event import AnyEvent, Finished, Queued
from schemas.heartbeat import Heartbeat, Progress
from schemas.lifecycle import State
from schemas.sizes import format_size
from schemas.view import TaskView, ended
from tools import lines
from tools.looking import COLOURS

STALE_AFTER_S = 5.0
"""Progress comes about once a second: what was not heard for so long does not run as far as anyone knows."""
NODE_AWAY_AFTER_S = 10.0
HEARD_ALL_AFTER_S = 3.0
"""Nodes tell of themselves every two seconds."""
RECENT_S = 6.0
"""How long what has ended stays in sight."""
RECENT_MAX = 50
KNOWN_MAX = 20_000
"""Tasks whose name and tags are remembered; the oldest goes first."""


class Known(NamedTuple):
    name: str
    tags: frozenset[str]


class Moving(NamedTuple):
    progress: Progress
    heard_at: float


class Board:
    """What runs just now, and what ended lately. Moments are of a monotonic clock, in seconds."""

    def __init__(self, began: datetime, now: float, tasks: Iterable[str] = (), tags: Iterable[str] = ()) -> None:
        """`began`: the same as `now`, for people. `tasks`, `tags`: show only these, only those with all these tags."""
        self.queued: int | None = None
        """None while nobody says."""
        self.ended: Counter[State] = Counter()
        self.away_since: float | None = None
        self._began = began
        self._tasks, self._tags = frozenset(tasks), frozenset(tags)
        self._known: dict[str, Known] = {}
        self._moving: dict[str, Moving] = {}
        self._recent: deque[tuple[float, TaskView]] = deque(maxlen=RECENT_MAX)
        self._nodes: dict[str, float] = {}
        self._listening_since = now

    def __repr__(self) -> str:
        return f"<Board {len(self._moving)} running, {self.ended.total()} ended>"

    @property
    def has_strangers(self) -> bool:
        """Whether something runs of which neither name nor tags are known."""
        return any(task not in self._known for task in self._moving)

    def know(self, task: str, name: str, tags: Iterable[str]) -> None:
        self._known.pop(task, None)
        self._known[task] = Known(name, frozenset(tags))
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]

    def moved(self, progress: Progress, now: float) -> None:
        self._moving[progress.task] = Moving(progress, now)

    def beat(self, heartbeat: Heartbeat, now: float) -> None:
        if heartbeat.leaving:
            self._nodes.pop(heartbeat.node, None)
        else:
            self._nodes[heartbeat.node] = now

    def happened(self, event: AnyEvent, now: float) -> TaskView | None:
        """How a task that is shown has ended, if this says so."""
        if isinstance(event, Queued):
            self.know(event.task, event.name, event.tags)
        if not isinstance(event, Finished):
            return None
        view = ended(event)
        self._moving.pop(event.task, None)
        known = self._known.pop(event.task, None)
        if not self._is_shown(event.task, known or Known(view.name, frozenset(view.tags))):
            return None
        self.ended[view.state] += 1
        self._recent.append((now, view))
        return view

    def lost(self, now: float) -> None:
        """The broker is away: nothing that was heard holds any more."""
        if self.away_since is None:
            self.away_since = now
            self._moving.clear()
            self._nodes.clear()
            self.queued = None

    def found(self, now: float) -> None:
        if self.away_since is not None:
            self.away_since = None
            self._listening_since = now

    def _is_shown(self, task: str, known: Known | None) -> bool:
        if self._tasks and task not in self._tasks:
            return False
        return not self._tags or (known is not None and self._tags <= known.tags)

    def running(self, now: float) -> list[Progress]:
        """What runs, the longest first."""
        self._moving = {task: one for task, one in self._moving.items() if now - one.heard_at < STALE_AFTER_S}
        return [one.progress for task, one in self._moving.items() if self._is_shown(task, self._known.get(task))]

    def nodes(self, now: float) -> int | None:
        """Nodes heard lately; None while not all can have been."""
        if now - self._listening_since < HEARD_ALL_AFTER_S:
            return None
        return sum(now - heard_at < NODE_AWAY_AFTER_S for heard_at in self._nodes.values())

    def head(self, now: float) -> str:
        """What is so now, in a line."""
        if self.away_since is not None:
            return f"broker away, reconnecting … ({now - self.away_since:.0f} s)"
        running = self.running(now)
        nodes = "?" if (count := self.nodes(now)) is None else f"{count:,}"
        queued = "? queued (no coordinator answers)" if self.queued is None else f"{self.queued:,} queued"
        speed = format_size(sum(progress.bytes_per_s for progress in running))
        return f"{len(running):,} running, {queued}, {nodes} {'node' if nodes == '1' else 'nodes'}, {speed}/s"

    def tally(self) -> str:
        """What has ended, in a line."""
        counts = ", ".join(f"{self.ended[state]:,} {state}" for state in COLOURS if self.ended[state])
        return f"since {self._began:%H:%M:%S}: {counts or 'none ended'}"

    def draw(self, rows: int, columns: int, now: float) -> list[Text]:
        """At most `rows` lines of at most `columns`: what is so, what runs, what ended lately."""
        head = Text(self.head(now), style="bold yellow" if self.away_since is not None else "bold")
        shown = [lines.cut(head, columns), lines.cut(Text(self.tally(), style="dim"), columns)][: max(1, rows)]
        room = max(0, rows - len(shown))
        recent = [view for at, view in self._recent if now - at < RECENT_S][-max(1, room // 3) :] if room else []
        running = self.running(now)
        room -= len(recent)
        left_out = len(running) - room
        if left_out > 0:
            running = running[: max(0, room - 1)]
        for progress in running:
            known = self._known.get(progress.task)
            shown.append(lines.transfer(progress, f"{progress.task} {known.name if known else ''}", columns))
        if left_out > 0 and room:
            shown.append(lines.cut(Text(f"… and {left_out + 1:,} more", style="dim"), columns))
        return shown + [lines.cut(lines.ended(view), columns) for view in recent]

    def snapshot(self, now: float) -> dict[str, Any]:
        """All of it, for `--json`."""
        running = self.running(now)
        return {
            "connected": self.away_since is None,
            "running": [
                {"name": known.name if (known := self._known.get(progress.task)) else "", "progress": progress}
                for progress in running
            ],
            "queued": self.queued,
            "nodes": self.nodes(now),
            "bytes_per_s": sum(progress.bytes_per_s for progress in running),
            "ended": {str(state): count for state, count in self.ended.items()},
        }
