"""Submitting, and waiting for the end with live bars."""

from collections.abc import Callable
from contextlib import AsyncExitStack

import anyio
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from schemas import heartbeat
from schemas.control import TaskView
from schemas.event import AnyEvent, Assigned, Retrying
from schemas.lifecycle import FINISHED, State
from schemas.request import Request
from schemas.sizes import format_size
from tools.client import Client, Refused
from tools.looking import COLOURS, print_json

ASK_AGAIN_S = 3.0
"""Events are for speed: what has ended is asked for too, for an event may be missed while the broker is away."""


def bars(console: Console) -> Progress:
    """Progress bars for downloads."""
    return Progress(
        TextColumn("{task.description}", table_column=None),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=console,
    )


class Waiting:
    """Follows a set of tasks to their end; draws a bar for each that runs."""

    def __init__(self, client: Client, names: dict[str, str], progress: Progress | None = None) -> None:
        """`names`: what to call each task, by id."""
        self.ended: dict[str, TaskView] = {}
        self._client = client
        self._names = names
        self._progress = progress
        self._bars = {}
        self._changed = anyio.Event()
        self._maybe: set[str] = set()
        if progress is not None:
            self._bars = {task: progress.add_task(name, total=None, note="queued") for task, name in names.items()}

    async def run(self, ready: Callable[[], None] = lambda: None) -> dict[str, TaskView]:
        """Listen, call `ready`, and return when every task has ended: its view by id."""
        async with AsyncExitStack() as stack:
            if self._client.may_watch:
                await stack.enter_async_context(self._client.events(self._event))
                await stack.enter_async_context(self._client.progress(self._moved))
            ready()
            asked_at = anyio.current_time() - ASK_AGAIN_S  # once at once: it may have ended before we listened
            while len(self.ended) < len(self._names):
                if anyio.current_time() - asked_at >= ASK_AGAIN_S:
                    asked_at = anyio.current_time()
                    self._maybe |= self._names.keys() - self.ended.keys()
                maybe, self._maybe = self._maybe, set()
                for task in maybe - self.ended.keys():
                    await self._ask(task)
                self._changed = anyio.Event()
                with anyio.move_on_after(ASK_AGAIN_S):
                    if not self._maybe and len(self.ended) < len(self._names):
                        await self._changed.wait()
        return self.ended

    async def _ask(self, task: str) -> None:
        try:
            view = (await self._client.show(task)).task
        except Refused:
            return  # between two leaders; asked again soon
        if view is not None and view.state in FINISHED:
            self.ended[task] = view
            self._draw(task, note=f"{view.state} {view.node}".strip(), done=view.bytes, total=view.bytes)

    def _event(self, event: AnyEvent, _sequence: int) -> None:
        if event.task not in self._names:
            return
        note = event.kind
        if isinstance(event, Assigned):
            note = f"on {event.node}"
        elif isinstance(event, Retrying):
            note = f"again in {event.next_in_s:.0f} s: {event.reason}"
        self._draw(event.task, note=note)
        if event.kind.startswith("finished."):
            self._maybe.add(event.task)
            self._changed.set()

    def _moved(self, moved: heartbeat.Progress) -> None:
        if moved.task in self._names and moved.task not in self.ended:
            self._draw(moved.task, note=f"on {moved.node}", done=moved.bytes_done, total=moved.bytes_total)

    def _draw(self, task: str, *, note: str, done: int | None = None, total: int | None = None) -> None:
        if self._progress is not None:
            self._progress.update(self._bars[task], note=note, completed=done, total=total or None)


async def submit_one(client: Client, request: Request, *, owner: str | None, wait: bool, as_json: bool) -> bool:
    """Submit; with `wait` stay until the end. False where it did not complete."""
    task = await client.submit(request, owner)
    console = Console(highlight=False, soft_wrap=True)
    if not wait:
        if as_json:
            print_json({"task": task})
        else:
            console.print(task)
        return True
    if as_json or not console.is_terminal:
        view = (await Waiting(client, {task: request.title}).run())[task]
    else:
        with bars(console) as progress:
            view = (await Waiting(client, {task: request.title}, progress).run())[task]
    if as_json:
        print_json(view)
    else:
        console.print(summary(view))
    return view.state is State.COMPLETED


def summary(view: TaskView) -> str:
    """How a task ended, in a line."""
    head = f"{view.task} [{COLOURS[view.state]}]{view.state}[/{COLOURS[view.state]}]"
    if view.state is State.COMPLETED:
        took = f"{format_size(view.bytes)} in {view.seconds:.1f} s"
        return f"{head} {view.node}:{escape(view.path)}  {took}  [dim]{view.digest}[/dim]"
    return f"{head} {escape(view.reason)}"
