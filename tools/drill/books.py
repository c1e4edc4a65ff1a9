"""The books of a drill: what was asked for against what came of it. Pure; reading is done elsewhere."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from schemas.event import Completed, Failed, Finished
from tools.drill.report import Problem, Trouble
from tools.drill.wares import MISSING_CODE, Nature, Ware


class Entry(NamedTuple):
    """An outcome as it stands in the log."""

    sequence: int
    event: Finished


class Disk(NamedTuple):
    """What lies in the nodes' download folders."""

    digests: Mapping[str, str]
    """SHA-256 as hex of each finished file, by `<node>/<path>`."""
    partials: int


class Ledger(NamedTuple):
    """All there is to judge."""

    accepted: Mapping[str, Ware]
    """By task: what the broker took."""
    refused: Mapping[str, Ware]
    """What it never took."""
    outcomes: Sequence[Entry]
    disk: Disk
    served: Mapping[str, str]
    """SHA-256 as hex of what the origin serves, by the file's name."""
    rows_left: Sequence[str]
    """Tasks that still stand in the table."""
    requests_left: int
    """Requests that are still in the inbox."""


class Books(NamedTuple):
    """The verdict."""

    problems: tuple[Problem, ...]
    outcomes: dict[str, int]
    verified: int
    failed_as_intended: int
    surplus_files: tuple[str, ...]
    partials: int

    @property
    def balanced(self) -> bool:
        return not self.problems

    def count(self, trouble: Trouble) -> int:
        return sum(problem.trouble is trouble for problem in self.problems)


def judge(ledger: Ledger) -> Books:
    """Balance the books: requests = outcomes, one each, and every completed file is what the origin serves."""
    by_task: dict[str, list[Entry]] = {}
    for entry in ledger.outcomes:
        by_task.setdefault(entry.event.task, []).append(entry)
    problems = [*_not_accepted(ledger), *_left_over(ledger)]
    verified = failed = 0
    for task, ware in ledger.accepted.items():
        problem = _trouble(task, ware, by_task.get(task, []), ledger)
        if problem is not None:
            problems.append(problem)
        elif ware.nature is Nature.MISSING:
            failed += 1
        else:
            verified += 1
    for task, entries in by_task.items():
        if task not in ledger.accepted:
            said = f"nobody asked for it, and it ended {_how(entries)}"
            problems.append(Problem(Trouble.STRANGER, task, said))
    done = [entry.event for entry in ledger.outcomes if isinstance(entry.event, Completed)]
    named = {f"{event.node}/{event.path}" for event in done}
    return Books(
        problems=tuple(problems),
        outcomes=dict(Counter(_outcome(entry.event) for entry in ledger.outcomes)),
        verified=verified,
        failed_as_intended=failed,
        surplus_files=tuple(sorted(ledger.disk.digests.keys() - named)),
        partials=ledger.disk.partials,
    )


def _not_accepted(ledger: Ledger) -> Iterable[Problem]:
    for task, ware in ledger.refused.items():
        yield Problem(Trouble.NOT_ACCEPTED, task, f"{ware.name}: the broker never took the request")


def _left_over(ledger: Ledger) -> Iterable[Problem]:
    for task in ledger.rows_left:
        yield Problem(Trouble.LEFT_OVER, task, "its row still stands in the table")
    if ledger.requests_left:
        yield Problem(Trouble.LEFT_OVER, "", f"{ledger.requests_left} requests are still in the inbox")


def _trouble(task: str, ware: Ware, entries: Sequence[Entry], ledger: Ledger) -> Problem | None:
    """What is wrong with how a task ended."""
    if not entries:
        return Problem(Trouble.LOST, task, f"{ware.name} has no outcome")
    if len(entries) > 1:
        return Problem(Trouble.DOUBLED, task, f"{ware.name} ended {len(entries)} times: {_how(entries)}")
    (entry,) = entries
    event = entry.event
    if ware.nature is Nature.MISSING:
        if isinstance(event, Failed) and event.code == MISSING_CODE:
            return None
        return Problem(Trouble.WRONG_OUTCOME, task, f"{ware.name} should have failed with 404, but {_how(entries)}")
    if not isinstance(event, Completed):
        return Problem(Trouble.WRONG_OUTCOME, task, f"{ware.name} should have completed, but {_how(entries)}")
    said = _file_trouble(ware, event, ledger)
    return Problem(Trouble.WRONG_FILE, task, said) if said else None


def _file_trouble(ware: Ware, event: Completed, ledger: Ledger) -> str:
    served = ledger.served[ware.name]
    if event.bytes != ware.bytes or event.digest != f"sha-256={served}":
        return (
            f"the completed event says {event.bytes} bytes with {event.digest[:24]}…, "
            f"the origin serves {ware.bytes} bytes with sha-256={served[:16]}…"
        )
    file = f"{event.node}/{event.path}"
    found = ledger.disk.digests.get(file)
    if found is None:
        return f"{event.node} says that it has {event.path}, and there is no such file"
    return "" if found == served else f"{file} has sha-256={found[:16]}…, the origin serves sha-256={served[:16]}…"


def _how(entries: Sequence[Entry]) -> str:
    return ", ".join(f"{_told(entry.event)} (event {entry.sequence})" for entry in entries)


def _told(event: Finished) -> str:
    where = f" on {event.node}" if isinstance(event, Completed) else ""
    why = f": {reason}" if (reason := getattr(event, "reason", "")) else ""
    return f"{_outcome(event)}{where}{why}"


def _outcome(event: Finished) -> str:
    return event.kind.removeprefix("finished.")
