"""`ls`: live tasks, the longest submitted first or as they are queued, then the latest outcomes, newest last."""

import heapq
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

from rich.console import Console

from broker.cluster import Client
from schemas.filter import TaskFilter
from schemas.sizes import format_size
from schemas.view import TaskView
from tools.finding import ended_tasks, live_tasks, moment_of
from tools.looking import age, due_in, print_json, state_cell, tries
from tools.tables import Cell, Column, print_table

FINISHED_SHOWN = 20
"""Of the latest outcomes, where nobody asked for any in particular."""

COLUMNS = (
    Column("task"),
    Column("state"),
    Column("name", may_cut=True),
    Column("node", drop=2),
    Column("try", drop=5, right=True),
    Column("age", drop=3, right=True),
    Column("size", drop=4, right=True),
    Column("prio", drop=6, right=True),
    Column("owner", drop=7),
    Column("tags", drop=8, may_cut=True),
    Column("notes", drop=1, may_cut=True),
)


async def list_tasks(
    client: Client,
    where: TaskFilter,
    *,
    limit: int,
    finished: int | None,
    in_queue_order: bool = False,
    as_json: bool,
) -> None:
    """Print at most `limit` live tasks and `finished` outcomes; None: a few, or `limit` where a state is named."""
    live = _queue(client, where, limit + 1) if in_queue_order else live_tasks(client, where)
    views: list[TaskView] = []
    has_more = False
    async for view in live:
        has_more = len(views) == limit
        if has_more:
            break
        views.append(view)
        if as_json:
            print_json(view)
    count = finished if finished is not None else limit if where.states else FINISHED_SHOWN
    over = await ended_tasks(client, where, count)
    if as_json:
        for view in over.tasks:
            print_json(view)
        return
    if views or over.tasks:
        print_tasks((*views, *over.tasks))
    else:
        Console().print("no tasks" if where.is_empty else "no task matches")
    told = Console(stderr=True, style="dim", soft_wrap=True)
    if has_more:
        told.print(f"more than {limit:,} live tasks: narrow it with --state or --tag, or raise --limit")
    if over.note:
        told.print(over.note)


async def _queue(client: Client, where: TaskFilter, limit: int) -> AsyncIterator[TaskView]:
    """The first `limit` of the queue: by priority, then in their order. All that match are looked at."""
    first: list[TaskView] = []
    async for view in live_tasks(client, where):
        first.append(view)
        if len(first) >= 2 * limit:
            first = heapq.nsmallest(limit, first, key=_queue_key)
    for view in heapq.nsmallest(limit, first, key=_queue_key):
        yield view


def _queue_key(view: TaskView) -> tuple[int, int, str]:
    return -view.priority, view.order, view.task


def print_tasks(views: Iterable[TaskView]) -> None:
    """A table of tasks."""
    now = datetime.now(UTC)
    print_table(COLUMNS, [_row(view, now) for view in views])


def _row(view: TaskView, now: datetime) -> tuple[Cell, ...]:
    moment = moment_of(view)
    due = due_in(view.due_in_s, now) if view.due_in_s else ""
    notes = "; ".join(filter(None, (due, view.reason or view.path)))
    return (
        Cell(view.task),
        state_cell(view),
        Cell(view.name),
        Cell(view.node),
        Cell(str(tries(view))),
        Cell(age((now - moment).total_seconds()) if moment else ""),
        Cell(format_size(view.bytes) if view.bytes else ""),
        Cell(f"{view.priority:+d}" if view.priority else ""),
        Cell(view.owner),
        Cell(",".join(view.tags)),
        Cell(notes, "dim"),
    )
