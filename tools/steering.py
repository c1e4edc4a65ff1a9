"""Steering many tasks: found by a filter, asked for in chunks, told in a few lines."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import anyio
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from broker.cluster import Client, Refused
from schemas.control import Prioritise, Steer, Steered
from schemas.filter import TaskFilter
from schemas.meant import CHUNK, MEANT, chunks, narrowed
from schemas.view import TaskView
from tools.finding import ended_tasks, live_tasks
from tools.looking import print_json

PATIENCE_S = 30.0
"""Half-way through many, a new leader is waited for so long."""
AGAIN_AFTER_S = 1.0
LINES_MAX = 20
"""Results told one by one; of more, only those that went wrong, and a sum."""
RETRIED_MAX = 100_000
"""Ended tasks found for one `retry`."""

ASKS_FIRST = frozenset({"cancel", "clear", "retry"})
"""What can't be taken back."""


class Found(NamedTuple):
    """What a verb and a filter come to."""

    where: TaskFilter
    """What the leader checks once more."""
    views: list[TaskView]
    note: str = ""


async def find(client: Client, verb: str, where: TaskFilter, asked: Steer | None = None) -> Found:
    """The tasks that a verb by filter is about. Raises NoLog."""
    where = narrowed(verb, where, asked)
    views = [view async for view in live_tasks(client, where) if MEANT[verb](view)]
    if isinstance(asked, Prioritise):
        views.sort(key=lambda view: (view.order, view.task))  # they keep their order, also from ask to ask
    if verb != "retry":
        return Found(where, views)
    over = await ended_tasks(client, where, RETRIED_MAX)
    return Found(where, [*over.tasks, *views], over.note)


async def look_up(client: Client, verb: str, ids: Iterable[str], where: TaskFilter) -> Found:
    """Which of the named tasks a verb would have something to do with."""
    shown = [(await client.show(task)).task for task in dict.fromkeys(ids)]
    return Found(where, [view for view in shown if view is not None and where.matches(view) and MEANT[verb](view)])


async def steer_all(
    client: Client,
    verb: str,
    ids: Sequence[str],
    where: TaskFilter | None,
    asked: Steer | None = None,
    *,
    as_json: bool,
) -> bool:
    """Ask for `verb` on every task and tell what became of them. True where it was done to all that were meant.

    With `where` the leader leaves alone what does not match by then: no failure. Raises Refused.
    """
    console = Console(highlight=False, soft_wrap=True)
    told = Telling(console, as_json=as_json, one_by_one=len(ids) <= LINES_MAX)
    is_long = len(ids) > CHUNK and console.is_terminal and not as_json
    with _bar(console) if is_long else nullcontext() as bar:
        task = bar.add_task(verb, total=len(ids)) if bar else None
        for number, chunk in enumerate(chunks(ids, asked)):
            for result in await _ask(client, verb, chunk, where, asked, patient=number > 0):
                told.take(result)
            if bar and task is not None:
                bar.advance(task, len(chunk))
    told.sum_up(verb)
    return not told.failed


async def _ask(
    client: Client, verb: str, ids: tuple[str, ...], where: TaskFilter | None, asked: Steer | None, *, patient: bool
) -> tuple[Steered, ...]:
    """One chunk. To ask twice does no harm, so half-way through many a change of leader is sat out."""
    until = anyio.current_time() + (PATIENCE_S if patient else 0.0)
    while True:
        try:
            return (await client.steer(verb, ids, where, asked)).results
        except Refused:
            if anyio.current_time() >= until:
                raise
        await anyio.sleep(AGAIN_AFTER_S)


class Telling:
    """Prints results as they come: all of a few, of many those that went wrong."""

    def __init__(self, console: Console, *, as_json: bool, one_by_one: bool) -> None:
        self.done = self.left_alone = self.failed = 0
        self._console = console
        self._as_json = as_json
        self._one_by_one = one_by_one

    def take(self, result: Steered) -> None:
        is_failure = not result.ok and result.matched
        self.done += result.ok
        self.failed += is_failure
        self.left_alone += not result.ok and not result.matched
        if self._as_json:
            print_json(result)
        elif self._one_by_one or (is_failure and self.failed <= LINES_MAX):
            mark = "[green]✓[/green]" if result.ok else "[red]✗[/red]" if is_failure else "[dim]–[/dim]"
            self._console.print(f"{mark} {result.task}  {escape(result.said)}")
        elif is_failure and self.failed == LINES_MAX + 1:
            self._console.print("[red]✗[/red] … and further ones; --json tells of each")

    def sum_up(self, verb: str) -> None:
        """A line for many."""
        if self._as_json or self._one_by_one:
            return
        counts = {"done": self.done, "left alone: they do not match any more": self.left_alone, "failed": self.failed}
        self._console.print(f"{verb}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items() if count))


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)
