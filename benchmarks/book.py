"""A leader's book of the table alone, in a process of its own: `python -m benchmarks.book TASKS` prints what it takes.

Also makes the queued rows that this and `takeover` measure with.
"""

import gc
import hashlib
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from coordinator import moves
from coordinator.rowbook import RowBook
from schemas import codec
from schemas.request import Request
from schemas.task import StoredRow, TaskRow

OWNERS = 50
MIRRORS = 200
SINCE = datetime(2026, 11, 1, tzinfo=UTC)


class Taken(Struct, frozen=True):
    """What the book takes."""

    bytes_per_task: float
    """Resident memory."""
    learn_us: float
    """A row that is news, from its JSON on."""
    known_us: float
    """A row that is read again."""
    longest_ms: float
    """For which the garbage collector stopped the process."""


def queued_row(number: int) -> TaskRow:
    """The row of a typical request: one address of some eighty characters, an owner, a tag."""
    digest = hashlib.sha256(number.to_bytes(8, "big")).hexdigest()
    uri = f"https://mirror-{number % MIRRORS:03d}.example.org/pub/releases/2026.11/images/disk-{number:09d}.iso.xz"
    submitted = SINCE + timedelta(milliseconds=number)
    row = moves.claimed(
        task=digest[:16],
        owner=f"owner-{number % OWNERS}",
        source=f"id:{digest[16:32]}",
        request=Request(uris=(uri,), tags=("eu",)),
        submitted=submitted,
    )
    order = int(submitted.timestamp() * 1e9)
    return replace(row, order=order, writer="coordinator-a1b2c3", epoch=17, nonce=f"17-a1b2c3-{number}")


def measure(tasks: int) -> Taken:
    pauses = _Pauses()
    book = RowBook()
    gc.callbacks.append(pauses)
    before, learning_s = _resident_bytes(), 0.0
    for number in range(1, tasks + 1):
        body = codec.encode(queued_row(number))
        began = time.perf_counter()
        book.learn(StoredRow(number, codec.decode(body, TaskRow), 1.0 * number))
        book.vouched.add(number)
        learning_s += time.perf_counter() - began
    taken = _resident_bytes() - before
    audit, began = book.audit(), time.perf_counter()
    for number, task in enumerate(book.tasks(), start=1):
        audit.knows(task, number, 1.0 * number)
    for _ in audit.finish(tasks):
        pass
    known_s = time.perf_counter() - began
    return Taken(taken / tasks, learning_s / tasks * 1e6, known_s / tasks * 1e6, pauses.longest_s * 1e3)


class _Pauses:
    """Told when the garbage collector begins and ends."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._began = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.longest_s = max(self.longest_s, time.perf_counter() - self._began)


def _resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(measure(int(sys.argv[1]))).decode() + "\n")
