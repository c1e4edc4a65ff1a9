"""A drill's report for people."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from tools.context import DATA_FOLDER
from tools.drill.plan import Kind
from tools.drill.report import Report, Struck, slowest

WIDTH_MAX = 100
PROBLEMS_MAX = 20
"""Shown; `--json` has them all."""


def print_summary(console: Console, report: Report) -> None:
    """What was struck, what came of the requests, and the verdict in the last line."""
    for line in _faults(report):
        console.print(line, soft_wrap=True)
    console.print()
    _say(console, _requests(report))
    _say(console, _files(report))
    for problem in report.problems[:PROBLEMS_MAX]:
        console.print(f"[red]✗ {problem.trouble}[/red] {problem.task}  {escape(problem.said)}", soft_wrap=True)
    if len(report.problems) > PROBLEMS_MAX:
        _say(console, f"… and {len(report.problems) - PROBLEMS_MAX} more: --json tells them all")
    if report.folder:
        _point_onwards(console, report)
    console.print(verdict(report), style="green" if report.balanced else "red", soft_wrap=True)


def verdict(report: Report) -> str:
    """The last line."""
    slow = report.slowest_recovery
    recovery = f"; slowest recovery {slow.recovered_s:.1f} s" if slow is not None else ""
    others = len(report.problems) - report.lost - report.doubled - report.wrong_files
    more = f", other troubles {others}" if others else ""
    return (
        f"drill: of {report.accepted} tasks lost {report.lost}, doubled {report.doubled}, "
        f"wrong files {report.wrong_files}{more}{recovery}"
    )


def _faults(report: Report) -> Iterator[str]:
    """A table by hand: a pipe has no width to fit one into."""
    faults = f"{len(report.faults)} faults in {report.seconds:g} s"
    yield f"[dim]{faults:<18}  times  slowest recovery[/dim]"
    times = Counter(struck.kind for struck in report.faults)
    for kind in Kind:
        worst = slowest(report.faults, kind)
        yield f"{kind:<18}  {times[kind]:>5}  {_told(worst) if worst else ''}".rstrip()


def _told(struck: Struck) -> str:
    frozen = f" for {struck.frozen_s:.1f} s" if struck.frozen_s else ""
    return f"{struck.recovered_s:4.1f} s  {struck.target}{frozen}: {struck.how}"


def _requests(report: Report) -> str:
    spared = f" {report.spared} blows were not dealt: their targets had not recovered." if report.spared else ""
    unseen = f" {report.unrecovered} recoveries were not seen." if report.unrecovered else ""
    return (
        f"{report.accepted} requests were accepted, {report.repeated} of them submitted twice. The last one ended "
        f"{report.took_s:.1f} s after the storm began; tasks went back to the queue {report.retried} times."
        f"{spared}{unseen}"
    )


def _files(report: Report) -> str:
    surplus = f" {len(report.surplus_files)} files are surplus copies." if report.surplus_files else ""
    return (
        f"{report.verified} files are whole: SHA-256 from the disk, of the event and of the origin agree. "
        f"{report.failed_as_intended} do not exist and failed, as they should.{surplus}"
    )


def _point_onwards(console: Console, report: Report) -> None:
    folder = Path(report.folder)
    console.print()
    _say(console, f"Everything is kept in {folder}: logs in {folder / DATA_FOLDER / 'logs'}.")
    _say(console, "The events of the tasks named above are in troubled.jsonl there, this report in report.json.")
    _say(console, "The same storm again:")
    again = f"downdraft drill --seed {report.seed} --tasks {report.tasks} --seconds {report.seconds:g}"
    console.print(f"  [bold]{again}[/bold]", soft_wrap=True, highlight=False)


def _say(console: Console, text: str) -> None:
    """A paragraph, wrapped for people and in one line for whatever reads a pipe."""
    width = min(WIDTH_MAX, console.width) if console.is_terminal else None
    console.print(text, width=width, soft_wrap=width is None, markup=False)
