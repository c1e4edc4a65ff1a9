"""Submitting one request, and what submitting prints."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from broker.cluster import Client
from schemas.lifecycle import State
from schemas.request import Request
from schemas.sizes import format_size
from schemas.view import TaskView
from tools import lines
from tools.looking import COLOURS, print_json
from tools.waiting import Waiting, waiting

REDRAW_S = 0.2

Draw = Callable[[int, int], RenderableType]
"""What to show on a screen of so many rows and columns."""


def bars(console: Console) -> Progress:
    """Progress bars for what this process itself transfers."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=console,
    )


@asynccontextmanager
async def drawn(draw: Draw, *, as_json: bool) -> AsyncIterator[None]:
    """Draw on the terminal of standard error for the length of the block, and leave nothing behind.

    Where that is no terminal, or it also shows the JSON, nothing is drawn.
    """
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal or (as_json and sys.stdout.isatty()):
        yield
        return

    def fitting() -> RenderableType:
        return draw(max(1, console.height - 1), console.width - 1)

    async def redraw() -> None:
        while True:
            await anyio.sleep(REDRAW_S)
            live.update(fitting(), refresh=True)

    # What is printed meanwhile scrolls by above the view, unless it goes to a pipe or a file.
    with Live(
        fitting(),
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        vertical_overflow="crop",
    ) as live:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(redraw)
            yield
            tasks.cancel_scope.cancel()


async def submit_one(
    client: Client, request: Request, *, owner: str | None, wait: bool, as_json: bool, quiet: bool
) -> bool:
    """Submit; with `wait` stay until the end. False where it did not complete."""
    prepared = client.prepare(request, owner)
    if not wait:
        await client.store(prepared)
        if as_json:
            print_json(accepted(prepared.task, prepared.request))
        elif not quiet:
            print(prepared.task, flush=True)  # noqa: T201 - the id is what scripts want
        return True
    ended: list[TaskView] = []
    async with waiting(client, ended.append, only=prepared) as one:
        one.expect(prepared, perhaps_over=request.id is not None)
        with said_when_interrupted(lambda: f"\nthe download goes on: `downdraft show {prepared.task}`"):
            async with drawn(lambda _rows, columns: _row(one, columns), as_json=as_json):
                await client.store(prepared)
                await one.until_all_ended()
    [view] = ended
    if as_json:
        print_json(view)
    elif not quiet:
        Console(highlight=False, soft_wrap=True).print(summary(view))
    return view.state is State.COMPLETED


def accepted(task: str, request: Request, line: int = 0) -> dict[str, object]:
    """What `--json` prints of an accepted request."""
    about: dict[str, object] = {"task": task, "id": request.id, "name": request.title}
    return about | ({"line": line} if line else {})


@contextmanager
def said_when_interrupted(say: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C in this block says on standard error what becomes of what was begun; '' says nothing."""
    try:
        yield
    except (anyio.get_cancelled_exc_class(), KeyboardInterrupt):
        if text := say():
            complain(text)
        raise


def complain(text: str) -> None:
    """A line for people on standard error, above whatever is drawn there."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - through the live view, which a Console would bypass


def _row(one: Waiting, columns: int) -> Text:
    """The line of the one task that is waited for."""
    one.forget_silent()
    for task, name in one.left.items():
        if (moving := one.moving.get(task)) is not None:
            return lines.transfer(moving.progress, name, columns)
        return lines.noted(name, one.notes.get(task, "queued"), columns)
    return Text()


def summary(view: TaskView) -> str:
    """How a task ended, in a line."""
    head = f"{view.task} [{COLOURS[view.state]}]{view.state}[/{COLOURS[view.state]}]"
    if view.state is State.COMPLETED:
        took = f"{format_size(view.bytes)} in {view.seconds:.1f} s"
        return f"{head} {view.node}:{escape(view.path)}  {took}  [dim]{view.digest}[/dim]"
    return f"{head} {escape(view.reason)}"
