"""What doctor prints: a list by groups for people, a JSON object a check for scripts."""

from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from rich.console import Console
from rich.markup import escape

from tools.doctor.findings import Finding, Status, many
from tools.looking import print_json
from tools.tables import printable

MARKS = {
    Status.OK: "[green]✓[/green]",
    Status.WARNING: "[yellow]![/yellow]",
    Status.PROBLEM: "[red]✗[/red]",
    Status.UNCHECKED: "[dim]–[/dim]",
}


def print_findings(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        for finding in findings:
            print_json(finding)
        return
    console = Console(highlight=False)
    width = max(len(_name(finding)) for finding in findings)
    for group, within in groupby(findings, lambda finding: finding.check.partition(".")[0]):
        console.print(f"[bold]{group}[/bold]")
        for finding in within:
            text = escape(printable(finding.found))
            said = f"[dim]{text}[/dim]" if finding.status in (Status.OK, Status.UNCHECKED) else text
            console.print(f"  {MARKS[finding.status]} {_name(finding):<{width}}  {said}", soft_wrap=True)
            if finding.remedy:
                console.print(f"    {'':<{width}}  → {escape(printable(finding.remedy))}", soft_wrap=True)
    console.print(_summary(findings), soft_wrap=True)


def _name(finding: Finding) -> str:
    return finding.check.partition(".")[2]


def _summary(findings: Iterable[Finding]) -> str:
    counts = Counter(finding.status for finding in findings)
    problems, warnings, unchecked = (counts[key] for key in (Status.PROBLEM, Status.WARNING, Status.UNCHECKED))
    colour = "red" if problems else "yellow" if warnings else "green"
    said = f"{many(problems, 'problem')}, {many(warnings, 'warning')}" if problems or warnings else "all is well"
    return f"[{colour}]{said}[/{colour}]" + (f" [dim]({unchecked} not checked)[/dim]" if unchecked else "")
