"""Steering many tasks: found by a filter, asked for in chunks, told in a few lines."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import anyio
from msgspec.structs import replace
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from broker.cluster import Client, Refused
from schemas.control import IDS_MAX, How, Prioritise, Steer, Steered
from schemas.filter import ENDED, Standing, TaskFilter
from schemas.lifecycle import FINISHED, Desired, State
from schemas.view import TaskView
from tools.finding import ended_tasks, live_tasks
from tools.looking import print_json

CHUNK = 100
"""Tasks of one ask: a leader cancels 100 (very busy) to 900 a second, and gives up an ask after eight."""
PATIENCE_S = 30.0
"""Half-way through many, a new leader is waited for so long."""
AGAIN_AFTER_S = 1.0
LINES_MAX = 20
"""Results told one by one; of more, only those that went wrong, and a sum."""
RETRIED_MAX = 100_000
"""Ended tasks found for one `retry`."""

GOES_ON = frozenset({Desired.RUN, Desired.RELEASE})
"""What is asked back from its node goes on elsewhere."""
MEANT: dict[str, Callable[[TaskView], bool]] = {
    "cancel": lambda view: view.state not in (*FINISHED, State.ENDING) and view.desired is not Desired.CANCEL,
    "pause": lambda view: view.state not in (*FINISHED, State.ENDING) and view.desired in GOES_ON,
    "resume": lambda view: view.state not in (*FINISHED, State.ENDING) and view.desired is Desired.PAUSE,
    "retry": lambda view: view.state in FINISHED or (view.state is State.QUEUED and view.due_in_s > 0),
    "clear": lambda view: view.state is State.QUEUED,
    "prioritise": lambda view: view.state not in (*FINISHED, State.ENDING),
    "limit": lambda view: view.state not in (*FINISHED, State.ENDING),
}
"""Which of the tasks that match a verb has something to do with."""
ASKS_FIRST = frozenset({"cancel", "clear", "retry"})
"""What can't be taken back."""


class Found(NamedTuple):
    """What a verb and a filter come to."""

    where: TaskFilter
    """What the leader checks once more."""
    views: list[TaskView]
    note: str = ""


def narrowed(verb: str, where: TaskFilter, asked: Steer | None = None) -> TaskFilter:
    """The filter a verb means where no state is named: what failed is tried again, not what completed."""
    defaults = {"retry": (Standing.QUEUED, Standing.FAILED), "resume": (Standing.PAUSED,), "clear": (Standing.QUEUED,)}
    if _is_of_the_queue(asked):
        defaults[verb] = (Standing.QUEUED,)
    return where if where.states or verb not in defaults else replace(where, states=defaults[verb])


def _is_of_the_queue(asked: Steer | None) -> bool:
    """Whether nothing but positions is to be changed."""
    return isinstance(asked, Prioritise) and asked.priority is None


def misfit(verb: str, where: TaskFilter, asked: Steer | None = None) -> str:
    """Why a verb has nothing to do with the states that are asked for; empty where it has."""
    over = sorted(str(state) for state in where.states if state in ENDED)
    if over and verb != "retry":
        return f"a task that is {over[0]} has ended: there is nothing to {verb}"
    is_queue = {Standing.QUEUED, Standing.PAUSED}.issuperset(where.states)
    if _is_of_the_queue(asked) and not is_queue:
        return "only what is queued has a position"
    if verb == "clear" and not is_queue:
        return "clear cancels what is queued and nothing else; use `downdraft cancel --state …`"
    return ""


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


def chunks(ids: Sequence[str], asked: Steer | None = None) -> list[tuple[str, ...]]:
    """What goes into each ask, in the order of asking: those that move together must stand in their order after all."""
    is_moving = isinstance(asked, Prioritise) and asked.position is not None
    size = IDS_MAX if is_moving else CHUNK
    parts = [tuple(ids[start : start + size]) for start in range(0, len(ids), size)]
    # Each goes to the very same position, before what is there: counted from the front the last must be there first.
    return parts[::-1] if isinstance(asked, Prioritise) and is_moving and asked.how is How.SET else parts


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
