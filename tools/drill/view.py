"""What a drill shows while it runs: a live picture on a terminal, a line for each thing that happens elsewhere."""

import anyio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from schemas.sizes import format_size
from tools.drill.plan import BROKER, LANES
from tools.drill.report import Struck
from tools.drill.story import Phase, Story

REDRAW_S = 0.1
COUNT_EVERY_S = 5.0
WIDTH_MAX = 100
NEWS_MAX = 14
"""Faults in sight, the latest first; fewer in a low window."""
ROWS_ELSEWHERE = 14
"""What the rest of the picture takes of the window's height."""
UP, DOWN, FROZEN = "green", "red", "cyan"
COLUMNS = (13, 13, 9, 18, 18)
"""Of the processes: name, state, what it has, and a node's two lanes. Fixed, so that nothing jumps."""
PHASES = {
    Phase.READY: "ready",
    Phase.STORM: "storm",
    Phase.SETTLING: "storm over",
    Phase.BALANCING: "balancing the books",
}


class View:
    """Draws one story on one console."""

    def __init__(self, console: Console, story: Story, nodes: list[str], coordinators: list[str]) -> None:
        self._console = console
        self._story = story
        self._nodes, self._coordinators = nodes, coordinators

    async def run(self) -> None:
        """Until cancelled."""
        if is_live(self._console):
            await self._live()
        else:
            await self._lines()

    async def _live(self) -> None:
        with Live(self._draw(), console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(self._draw(), refresh=True)
                await anyio.sleep(REDRAW_S)

    async def _lines(self) -> None:
        self._story.on_news = self._tell
        while True:
            await anyio.sleep(COUNT_EVERY_S)
            story = self._story
            line = f"{_stamp(story.seconds_in)}  {len(story.outcomes)} of {story.accepted} accepted requests have ended"
            self._console.print(line, soft_wrap=True, markup=False)

    def _tell(self, what: str, struck: Struck) -> None:
        at_s = struck.at_s if what == "struck" else struck.at_s + (struck.recovered_s or 0.0)
        said = _how_long(struck) if what == "struck" else _recovery(struck)
        line = f"{_stamp(at_s)}  {what:<9}  {struck.kind:<18}  {struck.target:<13}  {said}"
        self._console.print(line.rstrip(), soft_wrap=True, markup=False)

    def _draw(self) -> RenderableType:
        width = min(WIDTH_MAX, self._console.width - 1)
        blank = Text()
        return Group(blank, self._head(width), self._counts(), blank, self._processes(), blank, self._news(width))

    def _head(self, width: int) -> RenderableType:
        story = self._story
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.width = width
        grid.add_column(no_wrap=True, width=COLUMNS[0])
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True, justify="right", width=18)
        storm_s = min(story.seconds_in, story.seconds)
        grid.add_row(PHASES[story.phase], ProgressBar(story.seconds, storm_s), f"{storm_s:.1f} of {story.seconds:g} s")
        ended = len(story.outcomes)
        grid.add_row("ended", ProgressBar(story.tasks, ended), f"{ended} of {story.tasks} tasks")
        return grid

    def _counts(self) -> RenderableType:
        story = self._story
        moving = story.moving()
        speed = format_size(sum(progress.bytes_per_s for progress in moving))
        parts = (
            f"{story.accepted} accepted",
            f"{story.counts['completed']} completed",
            f"{story.counts['failed']} failed",
            f"{story.retried} retried",
            f"{len(moving)} moving, {speed}/s",
        )
        return Text(" · ".join(parts), "dim", no_wrap=True, overflow="ellipsis")

    def _processes(self) -> RenderableType:
        grid = Table.grid(padding=(0, 1))
        for width in COLUMNS:
            grid.add_column(width=width, no_wrap=True)
        for name in (BROKER, *self._coordinators):
            leads = name == self._story.leader and not self._is_away(name)
            grid.add_row(name, self._state(name), "leads" if leads else "")
        for name in self._nodes:
            here = sum(node == name for node in self._story.on_node.values())
            lanes = [Text.assemble((f"{lane} ", "dim"), self._state(f"{name}/{lane}")) for lane in LANES]
            is_dead = name in self._story.down and not self._story.struck[self._story.down[name]].kind.freezes
            grid.add_row(name, self._state(name), f"{here} tasks", *([] if is_dead else lanes))
        return grid

    def _is_away(self, name: str) -> bool:
        """Whether it is down, or was and has not shown itself since."""
        return name in self._story.down or any(name == struck.target for struck in self._story.recovering)

    def _state(self, name: str) -> Text:
        """How a process is, in a word and a colour: nothing is told by colour alone."""
        story = self._story
        if name not in story.down:
            return Text("○ returning", "yellow") if self._is_away(name) else Text("● up", UP)
        struck = story.struck[story.down[name]]
        if struck.kind.freezes:
            left_s = max(0.0, struck.at_s + struck.frozen_s - story.seconds_in)
            return Text(f"■ frozen {left_s:.0f} s", FROZEN)
        return Text("✗ killed", DOWN)

    def _news(self, width: int) -> RenderableType:
        """The latest faults, each with how long the cluster took to be itself again."""
        story = self._story
        room = max(1, min(NEWS_MAX, self._console.height - ROWS_ELSEWHERE))
        grid = Table.grid(padding=(0, 2))
        grid.width = width
        grid.add_column(justify="right", no_wrap=True, width=7)
        grid.add_column(no_wrap=True, width=18)
        grid.add_column(no_wrap=True, width=13)
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for struck in reversed(story.struck[-room:]):
            is_over = struck.recovered_s is not None
            said = Text(_recovery(struck), UP) if is_over else Text(_waiting(struck, story.seconds_in), "yellow")
            grid.add_row(f"{struck.at_s:.1f} s", str(struck.kind), struck.target, said)
        return grid


def is_live(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def _stamp(seconds: float) -> str:
    return f"{seconds:6.1f} s"


def _how_long(struck: Struck) -> str:
    return f"for {struck.frozen_s:.1f} s" if struck.frozen_s else ""


def _recovery(struck: Struck) -> str:
    return f"after {struck.recovered_s:.1f} s: {struck.how}"


def _waiting(struck: Struck, now_s: float) -> str:
    frozen = f" (frozen for {struck.frozen_s:.1f} s)" if struck.frozen_s else ""
    return f"{now_s - struck.at_s:.1f} s …{frozen}"
