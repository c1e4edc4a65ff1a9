"""Finding tasks by a filter: live ones from the coordinator page by page, ended ones from the log."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

from broker.cluster import Client
from broker.outcomes import READ_MAX, latest_outcomes
from schemas.control import LIST_PAGE_MAX, ListQuery, ListReply
from schemas.errors import DowndraftError
from schemas.event import Finished
from schemas.filter import TaskFilter
from schemas.view import TaskView, ended


class NoLog(DowndraftError):
    """Ended tasks were asked for with credentials that may not read the log."""

    exit_code = 2


NO_LOG = "with these credentials tasks that have ended can't be searched: only `downdraft show TASK` tells of them"


class Ended(NamedTuple):
    tasks: list[TaskView]
    """Oldest first."""
    note: str
    """What to tell people of what was not looked at."""


async def live_tasks(client: Client, where: TaskFilter, page: int = LIST_PAGE_MAX) -> AsyncIterator[TaskView]:
    """Live tasks that match, the longest submitted first."""
    after = ""
    while where.concerns_live:
        reply = await client.ask("list", ListQuery(where=where, after=after, limit=page), ListReply)
        for view in reply.tasks:
            yield view
        if not reply.more:
            return
        after = reply.after


async def ended_tasks(client: Client, where: TaskFilter, limit: int) -> Ended:
    """The last tasks that ended and match. Raises NoLog where nothing but ended ones was asked for."""
    outcomes = where.outcomes
    if not outcomes or not limit:
        return Ended([], "")
    if not client.may_read_log:
        if where.states:
            raise NoLog(NO_LOG)
        return Ended([], NO_LOG)
    found = await latest_outcomes(
        client.connection,
        limit,
        outcomes=outcomes,
        since=where.since,
        matches=lambda event: where.matches(ended(event)),
    )
    views = [ended(stored.event) for stored in found.events if isinstance(stored.event, Finished)]
    note = f"only the last {READ_MAX:,} outcomes were looked at: narrow it with --state or --since"
    return Ended(views, "" if found.is_whole else note)


def moment_of(view: TaskView) -> datetime | None:
    """What its age counts from: its end, or its submission while it lives."""
    return view.finished or view.submitted
