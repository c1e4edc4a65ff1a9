"""What printing commands share: colours, ages, one line an event; tables for people, JSON lines for scripts."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from rich.markup import escape

from schemas import codec
from schemas.event import Event, Finished
from schemas.filter import Standing, stands
from schemas.lifecycle import FINISHED, State
from schemas.view import TaskView
from tools.tables import Cell, printable

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
PASSED_OVER = frozenset(
    {
        "mirrors",
        "type",
        "task",
        "owner",
        "time",
        "name",
        "labels",
        "source",
        "submitted",
        "request",
        "history",
        "uris",
        "tags",
        "retry_of",
    }
)
"""Fields of an event that are no news in its line: shown elsewhere, or too long."""
DAY_S = 86_400
PARTIALS_TOLD_FROM_BYTES = 1 << 20
"""Less is what a failed task or two leave behind: nothing to act on."""


def print_json(value: Any) -> None:
    """One object, one line, at once: the reader may be a script that follows."""
    print(codec.encode(value).decode(), flush=True)  # noqa: T201 - printing is what this is for


def event_line(event: Event) -> str:
    """An event as one line of markup: when, which task, what, and what it says."""
    kind = f"[{colour_of(event)}]{event.kind:<19}[/{colour_of(event)}]"
    name, told = escape(printable(event.name)), escape(details(event))
    return f"[dim]{clock(event.time)}[/dim] {event.task} {kind} {name}  [dim]{told}[/dim]"


def colour_of(event: Event) -> str:
    return COLOURS[State(event.kind.removeprefix("finished."))] if isinstance(event, Finished) else "cyan"


def details(event: Event, *, without: str = "") -> str:
    """What an event says beside its task and kind, and one field that is shown elsewhere."""
    told: dict[str, Any] = msgspec.to_builtins(event)
    if files := told.pop("files", None):
        told["files"] = len(files) + told.pop("files_cut", 0)
    skip = PASSED_OVER | {without}
    return printable("  ".join(f"{name}={value}" for name, value in told.items() if name not in skip and value != ""))


def clock(moment: datetime) -> str:
    """The time of day here."""
    return moment.astimezone().strftime("%H:%M:%S.%f")[:-3]


def age(seconds: float) -> str:
    """How long, in one unit: `45s`, `12m`, `3h`, `9d`."""
    seconds = max(0.0, seconds)
    for unit, length, below in (("s", 1, 100), ("m", 60, 5_400), ("h", 3_600, 2 * DAY_S)):
        if seconds < below:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds // DAY_S)}d"


def due_in(seconds: float, now: datetime) -> str:
    """When something is due: `in 45s`, `in 3h`; from two days on the date, `on 2099-01-01`."""
    if seconds < 2 * DAY_S:
        return f"in {age(seconds)}"
    return f"on {(now + timedelta(seconds=seconds)).astimezone():%Y-%m-%d}"


def tries(view: TaskView) -> int:
    """Which try it is, or was: what was moved at no fault of its own is still the same one."""
    if view.state not in FINISHED:
        return view.failures + 1
    if view.state is not State.FAILED:
        return view.attempt  # its outcome does not tell which of them failed
    return 1 + sum(past.failure is not None and past.attempt < view.attempt for past in view.history)


def moment(when: datetime | None) -> str:
    """A date and time here, with its zone."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z").strip() if when else ""


def state_cell(view: TaskView) -> Cell:
    return Cell("paused" if stands(view, Standing.PAUSED) else str(view.state), COLOURS[view.state])
