"""What a drill found out: the object that `--json` prints."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from tools.drill.plan import Kind


class Trouble(StrEnum):
    """What may be wrong in the books."""

    LOST = "lost"
    """Accepted, and without an outcome."""
    DOUBLED = "doubled"
    """More than one outcome."""
    WRONG_FILE = "wrong file"
    """Completed, and the file on the node's disk or the digest in the event is not what the origin serves."""
    WRONG_OUTCOME = "wrong outcome"
    """Failed though the origin has the file, or completed though it has none."""
    STRANGER = "stranger"
    """An outcome of a task that nobody asked for."""
    LEFT_OVER = "left over"
    """A row in the table, or a request in the inbox, after everything has ended."""
    NOT_ACCEPTED = "not accepted"
    """The broker never took the request."""


class Problem(Struct, frozen=True):
    """One entry that does not balance."""

    trouble: Trouble
    task: str
    said: str


class Struck(Struct, frozen=True, omit_defaults=True):
    """A fault as it happened. Seconds count from the beginning of the storm."""

    at_s: float
    kind: Kind
    target: str
    frozen_s: float = 0.0
    """How long it was to stay frozen."""
    recovered_s: float | None = None
    """From the blow until the cluster was itself again; None where that was not seen before the drill ended."""
    how: str = ""
    """By what that was seen."""


class Report(Struct, frozen=True, kw_only=True):
    seed: int
    tasks: int
    seconds: float
    took_s: float
    """From the beginning of the storm until the last task had ended."""
    faults: tuple[Struck, ...]
    accepted: int
    repeated: int
    """Requests that were submitted a second time under their id."""
    outcomes: dict[str, int]
    verified: int
    """Completed files whose SHA-256 was read from the disk and is right."""
    failed_as_intended: int
    lost: int
    doubled: int
    wrong_files: int
    problems: tuple[Problem, ...]
    surplus_files: tuple[str, ...] = ()
    """Whole files on a node's disk that no outcome names: another attempt's file counts."""
    partials_left: int = 0
    """Unfinished downloads still staged on nodes: the sweep deletes them an hour after their last change."""
    retried: int = 0
    """Attempts that a fault or the origin ended, and that were followed by another."""
    slowest_recovery: Struck | None = None
    unrecovered: int = 0
    """Faults whose end was not seen."""
    spared: int = 0
    """Blows that were not dealt: what they were meant for had not recovered from the one before."""
    balanced: bool = False
    folder: str = ""
    """Where all of it lies; '' where nothing was kept."""


def slowest(faults: Sequence[Struck], kind: Kind | None = None) -> Struck | None:
    """The fault from which the cluster recovered last, of one kind or of all."""
    seen = [one for one in faults if one.recovered_s is not None and kind in (None, one.kind)]
    return max(seen, key=lambda one: one.recovered_s or 0.0, default=None)
