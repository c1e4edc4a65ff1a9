"""`show`: one task, its attempts, and everything that happened to it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from broker.cluster import Client
from schemas.event import AnyEvent, AttemptFailed, StoredFile
from schemas.sizes import format_size
from schemas.task import Mirror
from schemas.view import TaskView, limits, needs
from tools.looking import age, colour_of, details, due_in, moment, print_json, state_cell
from tools.tables import Cell, Column, print_table, printable

TIMELINE = (
    Column("when"),
    Column("after", drop=2, right=True),
    Column("attempt", drop=3, right=True),
    Column("what"),
    Column("details", drop=1, may_cut=True),
)
ATTEMPTS = (
    Column("attempt", right=True),
    Column("node"),
    Column("failure", drop=2),
    Column("code", drop=3),
    Column("why", drop=1, may_cut=True),
)
FILES = (
    Column("file", may_cut=True),
    Column("size", right=True),
    Column("digest", drop=1),
)
MIRRORS = (
    Column("mirror", may_cut=True),
    Column("bytes", right=True),
    Column("problem", drop=1, may_cut=True),
)


async def show_one(client: Client, task: str, *, as_json: bool) -> bool:
    """False where there is no such task."""
    reply = await client.show(task)
    if as_json:
        print_json(reply)
        return reply.task is not None
    console = Console(highlight=False)
    if reply.task is None:
        console.print(f"no task {task}", style="red")
        return False
    _print_facts(reply.task, reply.events, console)
    if reply.task.history:
        console.print("\nattempts that ended", style="bold")
        rows = [
            (Cell(str(a.attempt)), Cell(a.node), Cell(a.failure or "no fault"), Cell(a.code), Cell(a.reason))
            for a in reply.task.history
        ]
        print_table(ATTEMPTS, rows, console)
    if reply.task.files:
        console.print("\nfiles", style="bold")
        print_table(FILES, _files(reply.task.files), console)
        if reply.task.files_cut:
            console.print(f"… and {reply.task.files_cut} more", style="dim")
    if reply.task.mirrors:
        console.print("\nmirrors", style="bold")
        print_table(MIRRORS, _mirrors(reply.task.mirrors), console)
    if reply.events:
        console.print("\ntimeline", style="bold")
        print_table(TIMELINE, _timeline(reply.events), console)
    return True


def _print_facts(view: TaskView, events: Sequence[AnyEvent], console: Console) -> None:
    state = state_cell(view)
    took = f" in {view.seconds:.1f} s" if view.seconds else ""
    facts = {
        "task": view.task,
        "state": state.text + (f" ({view.phase})" if view.phase else ""),
        "name": view.name,
        "owner": view.owner,
        "addresses": "\n".join(map(printable, view.uris)),
        "node": view.node,
        "attempt": _attempt(view, events),
        "priority": f"{view.priority:+d}" if view.priority else "",
        "tags": ", ".join(view.tags),
        "avoids": ", ".join(view.avoid_tags),
        "prefers": ", ".join(view.prefer_tags),
        "needs": ", ".join(needs(view)),
        "limits": ", ".join(limits(view)),
        "not before": moment(view.not_before),
        "deadline": moment(view.deadline),
        "labels": ", ".join(f"{name}={value}" for name, value in view.labels.items()),
        "submitted": moment(view.submitted),
        "finished": moment(view.finished),
        "due": due_in(view.due_in_s, datetime.now(UTC)) if view.due_in_s else "",
        "retry of": view.retry_of,
        "reason": view.reason,
        "path": view.path,
        "size": format_size(view.bytes) + took if view.bytes else "",
        "digest": view.digest,
    }
    width = max(len(name) for name, told in facts.items() if told)
    for name, told in facts.items():
        for at, line in enumerate(told.split("\n") if told else ()):
            value = Text(printable(line), state.style if name == "state" else "")
            console.print(Text(f"{'' if at else name:<{width}}  ", "dim") + value, soft_wrap=True)


def _files(files: Sequence[StoredFile]) -> list[tuple[Cell, ...]]:
    return [(Cell(printable(one.path)), Cell(format_size(one.bytes)), Cell(one.digest, "dim")) for one in files]


def _mirrors(mirrors: Sequence[Mirror]) -> list[tuple[Cell, ...]]:
    return [
        (
            Cell(printable(one.uri)),
            Cell("" if one.bytes is None else format_size(one.bytes)),
            Cell(printable(one.problem), "yellow"),
        )
        for one in mirrors
    ]


def _attempt(view: TaskView, events: Sequence[AnyEvent]) -> str:
    """`3 (1 failed, moved once)`"""
    told = {event.attempt for event in events if isinstance(event, AttemptFailed)}
    failed = max(view.failures, len(told))
    last = view.attempt in told or any(past.failure and past.attempt == view.attempt for past in view.history)
    moved = view.attempt - 1 - (failed - last)
    times = "once" if moved == 1 else f"{moved} times"
    said = ", ".join(filter(None, (f"{failed} failed" if failed else "", f"moved {times}" if moved > 0 else "")))
    return f"{view.attempt} ({said})" if said else f"{view.attempt}"


def _timeline(events: Sequence[AnyEvent]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    day = before = None
    for event in events:
        here = event.time.astimezone()
        when = here.strftime("%H:%M:%S.%f")[:-3] if here.date() == day else here.strftime("%d %b %H:%M:%S.%f")[:-3]
        since = f"+{_span((event.time - before).total_seconds())}" if before else ""
        what = Cell(event.kind, colour_of(event))
        told = Cell(details(event, without="attempt"))
        rows.append((Cell(f"{when:>19}", "dim"), Cell(since, "dim"), Cell(str(event.attempt or "")), what, told))
        day, before = here.date(), event.time
    return rows


def _span(seconds: float) -> str:
    return f"{max(0.0, seconds):.1f}s" if seconds < 100 else age(seconds)
