"""Lines of live views: each exactly as wide as there is room, so that none wraps. Pure."""

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from schemas.heartbeat import Progress
from schemas.lifecycle import State
from schemas.sizes import format_size
from schemas.view import TaskView
from tools.looking import COLOURS
from tools.tables import printable

WIDE = 100
"""Columns from which there is room for longer bars and names."""
BAR, BAR_WIDE, BAR_MAX = 10, 24, 60
NODE, NODE_WIDE = 8, 14
SIZES = len("1023 KiB / 1023 KiB")
SPEED = len("1023 KiB/s")
PERCENT = len("100%")
TITLE_MIN, TITLE_MAX = 8, 64


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` columns: padded, or cut with an ellipsis."""
    clean = printable(text)
    if cell_len(clean) > width:
        return set_cell_size(clean, width - 1) + "…" if width > 0 else ""
    return set_cell_size(clean, width)


def cut(text: Text, width: int) -> Text:
    """A line that fits into `width` columns."""
    text.truncate(max(0, width), overflow="ellipsis")
    text.no_wrap, text.overflow = True, "crop"
    return text


def bar(done: float, total: float, width: int) -> Text:
    """A bar of `width` columns; dots while the total is unknown (0)."""
    if total <= 0:
        return Text("·" * width, style="dim")
    filled = min(width, int(width * done / total))
    return Text("━" * filled, style="blue").append("─" * (width - filled), style="bright_black")


def transfer(progress: Progress, title: str, width: int) -> Text:
    """One running download: what, where, a bar, how much, how fast."""
    is_wide = width >= WIDE
    bar_width, node_width = (BAR_WIDE, NODE_WIDE) if is_wide else (BAR, NODE)
    rest = width - (node_width + bar_width + PERCENT + SIZES + SPEED + 5)
    title_width = min(TITLE_MAX, max(TITLE_MIN, rest))
    bar_width = min(BAR_MAX, bar_width + max(0, rest - title_width))
    line = Text(fit(title, title_width))
    line.append(" ").append(fit(progress.node, node_width), style="cyan")
    line.append(" ").append_text(bar(progress.bytes_done, progress.bytes_total, bar_width))
    known = progress.bytes_total > 0
    percent = f"{min(100, 100 * progress.bytes_done // progress.bytes_total)}%" if known else ""
    of = f"{format_size(progress.bytes_done)} / {format_size(progress.bytes_total) if known else '?'}"
    speed = progress.phase if progress.phase != "active" else f"{format_size(progress.bytes_per_s)}/s"
    line.append(f" {percent:>{PERCENT}} {of:>{SIZES}} ").append(f"{fit(speed, SPEED).strip():>{SPEED}}", style="bold")
    return cut(line, width)


def noted(title: str, note: str, width: int) -> Text:
    """A download that does not run, and what is known of it."""
    title_width = min(cell_len(title), max(TITLE_MIN, width // 2))
    return cut(Text(fit(title, title_width)).append("  ").append(fit(note, cell_len(note)), style="dim"), width)


def ended(view: TaskView) -> Text:
    """How a task ended, short."""
    line = Text(view.task).append(f" {view.state}", style=COLOURS[view.state])
    if view.state is State.COMPLETED:
        return line.append(f" {view.node}:{printable(view.path)}  {format_size(view.bytes)} in {view.seconds:.1f} s")
    return line.append(printable(f" {view.name}: {view.reason}" if view.reason else f" {view.name}"))
