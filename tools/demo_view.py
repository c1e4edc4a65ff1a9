"""What the demo shows: live bars on a terminal, lines elsewhere, and the report."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import anyio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from schemas import heartbeat
from schemas.event import AnyEvent, Completed, Failed, Finished, Queued, Rejected, Started
from schemas.sizes import format_size
from tools.demo_files import Sample

REDRAW_S = 0.1
LINE_EVERY_S = 2.0
SHOWN_AFTER_S = 0.4
"""Transfers shorter than this get no bar: they would only flicker."""
BARS_MAX = 6
WIDTH_MAX = 100


class Running(NamedTuple):
    progress: heartbeat.Progress
    heard_at: float
    since: float
    shown: int
    """What was shown just before this report: a bar never goes back."""

    def bytes_done(self, now: float) -> int:
        """Between two reports, about a second apart, it is taken to go on at the same speed."""
        moved = self.progress.bytes_done + int(self.progress.bytes_per_s * min(1.0, now - self.heard_at))
        return min(max(moved, self.shown), self.progress.bytes_total)


class Following:
    """What the cluster said of the demo's downloads so far."""

    def __init__(self, addresses: Mapping[str, Sample]) -> None:
        """`addresses`: the samples by their address."""
        self.began_at = anyio.current_time()
        self.tasks: dict[str, Sample] = {}
        """By task id, as told by each task's `queued` event or whoever submitted it."""
        self.running: dict[str, Running] = {}
        self.first_start: dict[str, datetime] = {}
        """By node."""
        self.changed = anyio.Event()
        self.on_end: Callable[[Finished], None] = lambda _: None
        self._addresses = addresses
        self._outcomes: dict[str, dict[int, Finished]] = {}
        """By task id and the event's sequence."""
        self._last: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Following {len(self.tasks)} tasks, {len(self._outcomes)} ended>"

    def happened(self, event: AnyEvent, sequence: int) -> None:
        self._last[event.task] = event.kind
        match event:
            case Queued(uris=(uri, *_)) if uri in self._addresses:
                self.tasks[event.task] = self._addresses[uri]
            case Started():
                self.first_start.setdefault(event.node, event.time)
            case Finished():
                self.running.pop(event.task, None)
                if sequence not in self._outcomes.setdefault(event.task, {}):
                    self._outcomes[event.task][sequence] = event
                    self.on_end(event)
        self.changed.set()

    def moved(self, progress: heartbeat.Progress) -> None:
        if progress.task not in self._outcomes:
            now = anyio.current_time()
            before = self.running.get(progress.task)
            if progress.bytes_total == 0:  # still in aria2's own queue
                return
            if before is None or before.progress.attempt != progress.attempt:
                self.running[progress.task] = Running(progress, now, now, 0)
            else:
                self.running[progress.task] = Running(progress, now, before.since, before.bytes_done(now))

    def ended(self) -> dict[Sample, list[Finished]]:
        """Each sample's outcomes: none while it lives, one when it has ended."""
        found: dict[Sample, list[Finished]] = {sample: [] for sample in self._addresses.values()}
        for task, sample in self.tasks.items():
            found[sample] += self._outcomes.get(task, {}).values()
        return found

    def last_heard(self, sample: Sample) -> str:
        """Where a sample's task stands, for people."""
        known = [task for task, own in self.tasks.items() if own == sample]
        return ", ".join(f"task {task}, last event: {self._last.get(task, 'none')}" for task in known) or "no event"

    def count_ended(self) -> int:
        return sum(bool(outcomes) for outcomes in self.ended().values())

    def count_all(self) -> int:
        return len(self._addresses)

    def bytes_done(self) -> int:
        now = anyio.current_time()
        whole = sum(sample.bytes for sample, outcomes in self.ended().items() if outcomes)
        return whole + sum(running.bytes_done(now) for running in self.running.values())

    def bytes_all(self) -> int:
        return sum(sample.bytes for sample in self._addresses.values())

    def seconds(self) -> float:
        return anyio.current_time() - self.began_at


class Show:
    """Follows on a terminal with live bars, elsewhere with a line for each file that ends."""

    def __init__(self, console: Console, following: Following) -> None:
        self._console = console
        self._following = following
        self._rows = 0

    async def run(self) -> None:
        """Until cancelled."""
        if not is_live(self._console):
            await self._lines()
        with Live(self._draw(), console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    live.update(self._draw(), refresh=True)
                    await anyio.sleep(REDRAW_S)
            finally:
                self._rows = 0
                self._following.running.clear()
                live.update(self._draw(), refresh=True)

    async def _lines(self) -> None:
        self._following.on_end = self._line
        try:
            while True:
                await anyio.sleep(LINE_EVERY_S)
                self._count()
        finally:
            self._count()

    def _draw(self) -> RenderableType:
        following = self._following
        now = anyio.current_time()
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.width = min(WIDTH_MAX, self._console.width - 1)
        grid.add_column(width=14, no_wrap=True, overflow="ellipsis")
        grid.add_column(ratio=1)
        for width in (19, 10, 6):
            grid.add_column(width=width, justify="right", no_wrap=True)
        done = following.bytes_done()
        grid.add_row(
            f"[bold]{following.count_ended()} of {following.count_all()} done[/bold]",
            ProgressBar(following.bytes_all(), done),
            _of(done, following.bytes_all()),
            f"{following.seconds():.1f} s",
        )
        lasting = [one for one in following.running.values() if now - one.since >= SHOWN_AFTER_S]
        shown = sorted(lasting, key=lambda one: one.progress.bytes_total, reverse=True)[:BARS_MAX]
        for running in shown:
            progress = running.progress
            sample = following.tasks.get(progress.task)
            total = progress.bytes_total or (sample.bytes if sample else 0)
            grid.add_row(
                sample.name if sample else progress.task,
                ProgressBar(total, running.bytes_done(now)),
                _of(running.bytes_done(now), total),
                "checking" if progress.phase == "verifying" else f"{format_size(progress.bytes_per_s)}/s",
                f"[dim]{progress.node}[/dim]",
            )
        # The block never shrinks while it lives, so that what stands below does not jump.
        self._rows = max(self._rows, len(shown))
        return Group(grid, *[""] * (self._rows - len(shown)))

    def _line(self, event: Finished) -> None:
        sample = self._following.tasks.get(event.task)
        name = sample.name if sample else event.task
        outcome = event.kind.removeprefix("finished.")
        node, said = "-", ""
        if isinstance(event, Completed):
            node, said = event.node, format_size(event.bytes)
        elif isinstance(event, Failed | Rejected):
            said = event.reason
        line = f"{self._stamp()}  {outcome:<9}  {node:<6}  {name:<13}  {said}"
        self._console.print(line, soft_wrap=True, markup=False)

    def _stamp(self) -> str:
        return f"{self._following.seconds():6.1f} s"

    def _count(self) -> None:
        following = self._following
        done = _of(following.bytes_done(), following.bytes_all())
        line = f"{self._stamp()}  {following.count_ended()} of {following.count_all()} done, {done}"
        self._console.print(line, soft_wrap=True, markup=False)


def is_live(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def nodes_table(following: Following, tags: Mapping[str, Sequence[str]]) -> Table:
    """Which node did what. A node's seconds run from its first start to its last file."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2))
    for name in ("node", "tags"):
        table.add_column(name, no_wrap=True)
    for name in ("files", "bytes", "seconds", "speed"):
        table.add_column(name, justify="right", no_wrap=True)
    events = [event for outcomes in following.ended().values() for event in outcomes if isinstance(event, Completed)]
    for node in sorted(tags):
        own = [event for event in events if event.node == node]
        count = sum(event.bytes for event in own)
        started = following.first_start.get(node)
        took = (max(event.time for event in own) - started).total_seconds() if own and started else 0.0
        speed = f"{format_size(count / took)}/s" if took > 0 else "-"
        table.add_row(node, ", ".join(tags[node]) or "-", str(len(own)), format_size(count), f"{took:.1f}", speed)
    return table


def _of(done: int, total: int) -> str:
    return f"{format_size(done)} / {format_size(total)}"
