"""The read model: kept in step with the streams, asked by every route."""

import structlog
from msgspec import Struct

from broker.connection import Connection
from gateway.readmodel.feed import Feed
from schemas.event import Dismissed, Finished
from schemas.filter import TaskFilter
from schemas.heartbeat import Heartbeat, Progress
from schemas.settings import GatewaySettings
from schemas.task import StoredRow
from schemas.view import TaskView, ended, view_of

log = structlog.get_logger()


class Page(Struct, frozen=True):
    """Some of the tasks that were asked for."""

    tasks: tuple[TaskView, ...]
    after: str = ""
    """Where the next page begins; empty after the last."""


class ReadModel:
    """Every live task, and the latest that ended."""

    def __init__(self, connection: Connection, settings: GatewaySettings) -> None:
        self._connection = connection
        self._settings = settings
        self._tasks: dict[str, TaskView] = {}
        self._ended: set[str] = set()
        self._sequences: dict[str, int] = {}
        self.progress: dict[str, Progress] = {}
        """What each running transfer said last."""
        self.heartbeats: dict[str, Heartbeat] = {}
        """What each node said last."""
        self.is_ready = False
        """Whether everything that was stored at the start has been read."""

    def __repr__(self) -> str:
        return f"<ReadModel of {len(self._tasks)} tasks, {len(self._ended)} ended>"

    async def run(self) -> None:
        """Keep in step until cancelled."""
        await Feed(self._connection, self).run()

    def row_came(self, stored: StoredRow) -> None:
        """A row stands in TASKS; the highest sequence of a task is true, and an outcome outweighs any row."""
        task = stored.row.task
        if task in self._ended or stored.sequence <= self._sequences.get(task, 0):
            return
        self._sequences[task] = stored.sequence
        self._tasks[task] = view_of(stored.row, stored.row.state)

    def ended_came(self, event: Finished) -> None:
        self._ended.add(event.task)
        self._sequences.pop(event.task, None)
        self.progress.pop(event.task, None)
        self._tasks[event.task] = ended(event)

    def dismissed_came(self, event: Dismissed) -> None:
        if event.task in self._ended:
            self._tasks.pop(event.task, None)

    async def get(self, task: str) -> TaskView | None:
        """One task; None where it is not known (any more)."""
        return self._tasks.get(task)

    async def find(self, where: TaskFilter, *, after: str = "", limit: int = 100) -> Page:
        """A page of the tasks that match, the latest submitted or finished first."""
        found = sorted((view for view in self._tasks.values() if where.matches(view)), key=_newest_first)
        keys = [view.task for view in found]
        start = keys.index(after) + 1 if after in keys else 0
        page = tuple(found[start : start + limit])
        return Page(page, page[-1].task if start + limit < len(found) else "")

    async def count(self, where: TaskFilter) -> int:
        """How many tasks match."""
        return sum(where.matches(view) for view in self._tasks.values())


def _newest_first(view: TaskView) -> tuple[float, str]:
    moment = view.finished or view.submitted
    return (-moment.timestamp() if moment else 0.0, view.task)
