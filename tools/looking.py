"""What the looking and steering commands print: tables for people, JSON lines for scripts."""

from collections import deque
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from broker.eventlog import latest_outcomes
from schemas import codec
from schemas.control import (
    LIST_PAGE_MAX,
    ListQuery,
    ListReply,
    NodesReply,
    StatsReply,
    Steer,
    TaskView,
)
from schemas.event import Completed, Event, Failed, Rejected
from schemas.lifecycle import Desired, State
from schemas.sizes import format_size
from tools.client import Client

COLOURS = {
    State.QUEUED: "yellow",
    State.ASSIGNED: "cyan",
    State.ACTIVE: "blue",
    State.ENDING: "magenta",
    State.COMPLETED: "green",
    State.FAILED: "red",
    State.CANCELLED: "bright_black",
    State.REJECTED: "red",
}


def print_json(value: Any) -> None:
    """One object, one line, at once: the reader may be a script that follows."""
    print(codec.encode(value).decode(), flush=True)  # noqa: T201 - printing is what this is for


async def list_all(client: Client, states: tuple[State, ...], *, limit: int, finished: int, as_json: bool) -> None:
    """Live tasks page by page, then the latest outcomes."""
    views: list[TaskView] = []
    after = ""
    while len(views) < limit:
        query = ListQuery(states=states, after=after, limit=min(LIST_PAGE_MAX, limit - len(views)))
        reply = await client.ask("list", query, ListReply)
        views += reply.tasks
        if not reply.more or not reply.tasks:
            break
        after = reply.tasks[-1].task
    if finished and client.may_watch and not states:
        views += await _latest(client, finished)
    if as_json:
        for view in views:
            print_json(view)
        return
    table = _table("task", "state", "name", "node", "try", "size", "notes")
    for view in views:
        table.add_row(
            view.task,
            _state(view),
            view.name,
            view.node,
            str(view.attempt),
            format_size(view.bytes) if view.bytes else "",
            view.reason or view.path,
        )
    Console().print(table if views else "no tasks")


async def _latest(client: Client, count: int) -> list[TaskView]:
    views: deque[TaskView] = deque(maxlen=count)
    for stored in await latest_outcomes(client.connection, count):
        event = stored.event
        views.append(
            TaskView(
                task=event.task,
                owner=event.owner,
                state=State(event.kind.removeprefix("finished.")),
                name=event.name,
                attempt=event.attempt,
                labels=event.labels,
                finished=event.time,
                node=event.node if isinstance(event, Completed) else "",
                path=event.path if isinstance(event, Completed) else "",
                bytes=event.bytes if isinstance(event, Completed) else 0,
                digest=event.digest if isinstance(event, Completed) else "",
                reason=event.reason if isinstance(event, Failed | Rejected) else "",
            )
        )
    return list(views)


async def show_one(client: Client, task: str, *, as_json: bool) -> bool:
    """False where there is no such task."""
    reply = await client.show(task)
    if as_json:
        print_json(reply)
        return reply.task is not None
    console = Console(highlight=False)
    view = reply.task
    if view is None:
        console.print(f"no task {task}", style="red")
        return False
    table = Table.grid(padding=(0, 2))
    rows: dict[str, Any] = {
        "task": view.task,
        "state": _state(view),
        "name": view.name,
        "owner": view.owner,
        "addresses": "\n".join(view.uris),
        "node": view.node,
        "attempt": f"{view.attempt} ({view.failures} failed)",
        "tags": ", ".join(view.tags),
        "labels": ", ".join(f"{name}={value}" for name, value in view.labels.items()),
        "due in": f"{view.due_in_s:g} s" if view.due_in_s else "",
        "reason": view.reason,
        "path": view.path,
        "size": format_size(view.bytes) if view.bytes else "",
        "digest": view.digest,
    }
    for name, value in rows.items():
        if value:
            table.add_row(f"[dim]{name}[/dim]", value)
    console.print(table)
    for event in reply.events:
        console.print(event_line(event), soft_wrap=True)
    return True


async def list_nodes(client: Client, *, as_json: bool) -> None:
    reply = await client.ask("nodes", Steer(), NodesReply)
    if as_json:
        for node in reply.nodes:
            print_json(node)
        return
    table = _table("node", "status", "running", "slots", "speed", "cpu", "memory", "disk free", "tags")
    for node in reply.nodes:
        beat = node.heartbeat
        status = "[green]online[/green]" if node.online else "[red]offline[/red]"
        table.add_row(
            node.node,
            "leaving" if beat.leaving and node.online else status,
            str(beat.running),
            str(beat.slots),
            f"{format_size(beat.bytes_per_s)}/s",
            f"{beat.cpu_percent:.0f} %",
            format_size(beat.memory_bytes),
            format_size(beat.disk_free_bytes),
            ", ".join(beat.tags),
        )
    Console().print(table if reply.nodes else "no nodes have been heard")


async def show_stats(client: Client, *, as_json: bool) -> None:
    reply = await client.ask("stats", Steer(), StatsReply)
    if as_json:
        print_json(reply)
        return
    table = Table.grid(padding=(0, 2))
    table.add_row("[dim]leader[/dim]", f"{reply.leader} (term {reply.epoch})")
    table.add_row("[dim]nodes[/dim]", f"{reply.nodes_online} online, {format_size(reply.bytes_per_s)}/s")
    table.add_row("[dim]live[/dim]", _counts(reply.states) or "none")
    table.add_row("[dim]ended[/dim]", f"{_counts(reply.outcomes) or 'none'} since this leader leads")
    Console().print(table)


async def steer_all(client: Client, verb: str, ids: tuple[str, ...], *, as_json: bool) -> bool:
    """True where it was done to every task."""
    reply = await client.steer(verb, ids)
    console = Console(highlight=False)
    for result in reply.results:
        if as_json:
            print_json(result)
        else:
            mark = "[green]✓[/green]" if result.ok else "[red]✗[/red]"
            console.print(f"{mark} {result.task}  {result.said}")
    if not reply.results and not as_json:
        console.print("nothing is queued")
    return all(result.ok for result in reply.results)


def event_line(event: Event) -> str:
    """An event as one line: when, which task, what, and what it says."""
    told: dict[str, Any] = msgspec.to_builtins(event)
    skip = {"type", "task", "owner", "time", "name", "labels", "source", "request", "history", "uris"}
    details = "  ".join(f"{key}={value}" for key, value in told.items() if key not in skip and value != "")
    colour = {str(state): colour for state, colour in COLOURS.items()}.get(event.kind.removeprefix("finished."), "cyan")
    kind = f"[{colour}]{event.kind:<19}[/{colour}]"
    return f"[dim]{_clock(event.time)}[/dim] {event.task} {kind} {escape(event.name)}  [dim]{escape(details)}[/dim]"


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S.%f")[:-3]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _state(view: TaskView) -> str:
    shown = "paused" if view.desired is Desired.PAUSE else str(view.state)
    return f"[{COLOURS[view.state]}]{shown}[/{COLOURS[view.state]}]"


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in {"task", "state"}, overflow="ellipsis")
    return table
