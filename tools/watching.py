"""Live views: `watch` and `events`."""

import sys

import anyio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from schemas import heartbeat
from schemas.event import AnyEvent
from schemas.sizes import format_size
from tools.client import Client
from tools.looking import event_line, print_json

REDRAW_S = 0.5
STALE_AFTER_S = 5.0
ROWS_MAX = 40
WIDE = 100
"""Columns from which there is room for names and a longer bar."""


class Board:
    """What runs just now, from progress and events."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[heartbeat.Progress, float]] = {}
        self._names: dict[str, str] = {}
        self._ended: dict[str, int] = {}

    def moved(self, moved: heartbeat.Progress) -> None:
        self._running[moved.task] = (moved, anyio.current_time())

    def happened(self, event: AnyEvent, _sequence: int) -> None:
        self._names[event.task] = event.name
        if event.kind.startswith("finished."):
            self._running.pop(event.task, None)
            self._names.pop(event.task, None)
            outcome = event.kind.removeprefix("finished.")
            self._ended[outcome] = self._ended.get(outcome, 0) + 1

    def draw(self, rows: int, columns: int) -> Group:
        """What to show on a screen of this size."""
        now = anyio.current_time()
        self._running = {task: seen for task, seen in self._running.items() if now - seen[1] < STALE_AFTER_S}
        table = Table(box=None, header_style="dim", pad_edge=False)
        is_wide = columns >= WIDE
        for column, least in (("task", 16), ("node", 6), ("progress", 10), ("done", 19), ("speed", 10)):
            table.add_column(column, no_wrap=True, overflow="ellipsis", min_width=least)
        if is_wide:
            table.add_column("name", no_wrap=True, overflow="ellipsis")
        shown = sorted(self._running.values(), key=lambda seen: seen[0].task)[:rows]
        for moved, _ in shown:
            of = format_size(moved.bytes_total) if moved.bytes_total else "?"
            cells: list[RenderableType] = [
                moved.task,
                moved.node,
                _bar(moved, 24 if is_wide else 10),
                f"{format_size(moved.bytes_done)} / {of}",
                f"{format_size(moved.bytes_per_s)}/s",
            ]
            table.add_row(*cells, *([self._names.get(moved.task, "")] if is_wide else []))
        speed = sum(moved.bytes_per_s for moved, _ in self._running.values())
        ended = ", ".join(f"{count} {name}" for name, count in sorted(self._ended.items())) or "none ended yet"
        more = f", {len(self._running) - len(shown)} more" if len(self._running) > len(shown) else ""
        head = Text(f"{len(self._running)} running{more}, {format_size(speed)}/s; since now: {ended}")
        return Group(head, table)


def _bar(moved: heartbeat.Progress, chars: int) -> Text:
    if not moved.bytes_total:
        return Text("·" * chars, style="dim")
    filled = round(chars * moved.bytes_done / moved.bytes_total)
    return Text("━" * filled, style="blue").append("─" * (chars - filled), style="bright_black")


async def watch_all(client: Client) -> None:
    """Redraw until cancelled."""
    board = Board()
    console = Console()
    async with client.events(board.happened), client.progress(board.moved):
        with Live(board.draw(ROWS_MAX, console.width), console=console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(board.draw(min(ROWS_MAX, max(3, console.height - 4)), console.width), refresh=True)
                await anyio.sleep(REDRAW_S)


async def print_events(client: Client, task: str | None, *, count: int, as_json: bool) -> None:
    """Print each event; return after `count` (0: never)."""
    done = anyio.Event()
    seen = 0
    console = Console(highlight=False, soft_wrap=True)

    def take(event: AnyEvent, _sequence: int) -> None:
        nonlocal seen
        if done.is_set():
            return
        try:
            if as_json:
                print_json(event)
            else:
                console.print(event_line(event))
            sys.stdout.flush()
        except (BrokenPipeError, SystemExit):
            done.set()  # whoever read this has seen enough
            return
        seen += 1
        if seen == count:
            done.set()

    async with client.events(take, task):
        await done.wait()
