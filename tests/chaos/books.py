"""The books of a cluster: what was asked for against what became of it, for every task."""

import hashlib
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from broker.connection import connect
from broker.errors import BrokerError
from broker.table import MARKER
from schemas import subjects as s
from schemas.event import Assigned, Completed, Retrying
from tests.chaos.witness import Witness
from tests.harness.files import files_below
from tests.harness.waiting import eventually


class Wanted(NamedTuple):
    """What must become of a task."""

    digest: str
    """Of the whole file; empty where the task may end in any way."""


class Books:
    """Requests that the inbox acknowledged, and what must come of each."""

    def __init__(self, url: str, creds: str, downloads: Path, witness: Witness) -> None:
        self.asked: dict[str, Wanted] = {}
        self.folders: dict[str, str] = {}
        """Where a node's files lie, if not in a folder of its name."""
        self._url, self._creds = url, creds
        self._downloads = downloads
        self._witness = witness

    async def balance(self, *, within_s: float = 120.0) -> None:
        """Wait until everything asked for has ended and the table is empty; then check every task.

        One outcome each, whole files, attempts that only rise, and none of them at two nodes.
        """
        await eventually(
            lambda: self.asked.keys() <= self._witness.ended(), within_s=within_s, every_s=0.2, what=self._left()
        )
        await eventually(self._is_empty, within_s=within_s, every_s=0.5, what="inbox and table are empty")
        await self.check()

    async def check(self) -> None:
        """Check what has ended so far."""
        assert self.doubled() == {}, "tasks with several outcomes"
        assert self._witness.ended() <= self.asked.keys(), "outcomes that nobody asked for"
        assert self.not_whole() == {}, "tasks without their whole file"
        assert self.fallen() == [], "attempts that went back"
        assert self.run_twice() == {}, "attempts at several nodes"

    def doubled(self) -> dict[str, int]:
        """Tasks with more than one outcome."""
        count = Counter(one.event.task for one in self._witness.log if one.event.kind.startswith("finished."))
        return {task: outcomes for task, outcomes in count.items() if outcomes > 1}

    def not_whole(self) -> dict[str, str]:
        """Tasks whose outcome or file is not what was asked for, and why."""
        wrong = {}
        for stored in self._witness.log:
            event = stored.event
            wanted = self.asked.get(event.task)
            if wanted is None or not wanted.digest or not event.kind.startswith("finished."):
                continue
            if not isinstance(event, Completed):
                wrong[event.task] = event.kind
            elif (found := self._digest(event)) != wanted.digest or event.digest != wanted.digest:
                wrong[event.task] = f"{event.path} on {event.node}: {found}, told {event.digest}"
        return wrong

    def fallen(self) -> list[str]:
        """Rows, and events of one coordinator about its own moves, whose attempt is below an earlier one's."""
        found = []
        latest: dict[tuple[str, str], int] = defaultdict(int)
        for stored in self._witness.log:
            event = stored.event
            if isinstance(event, Assigned | Retrying):
                if event.attempt < latest[event.task, ""]:
                    found.append(f"{event.task}: {event.kind} {event.attempt} after {latest[event.task, '']}")
                latest[event.task, ""] = event.attempt
        for sequence, row in sorted(self._witness.rows, key=lambda one: one[0]):
            if row.attempt < latest[row.task, "row"]:
                found.append(f"{row.task}: row {sequence} {row.attempt} after {latest[row.task, 'row']}")
            latest[row.task, "row"] = row.attempt
        return found

    def run_twice(self) -> dict[tuple[str, int], set[str]]:
        """Attempts that stood or ran at more than one node."""
        nodes: dict[tuple[str, int], set[str]] = defaultdict(set)
        nodes.update(self._witness.places())
        for run in self._witness.runs():
            nodes[run.task, run.attempt].add(run.node)
        return {key: found for key, found in nodes.items() if len(found) > 1}

    def strays(self) -> list[Path]:
        """Finished files that no outcome tells of."""
        told = {(one.event.node, one.event.path) for one in self._witness.log if isinstance(one.event, Completed)}
        found = []
        for node in self._downloads.iterdir():
            for file in files_below(node):
                inside = file.relative_to(node)
                if inside.parts[0] != ".downdraft" and (node.name, str(inside)) not in told:
                    found.append(file)
        return found

    def _digest(self, event: Completed) -> str:
        file = self._downloads / self.folders.get(event.node, event.node) / event.path
        return f"sha-256={hashlib.sha256(file.read_bytes()).hexdigest()}" if file.is_file() else "no file"

    async def _is_empty(self) -> bool:
        try:
            async with connect(self._url, self._creds, name="books", timeout_s=5) as connection:
                inbox = await connection.api(f"STREAM.INFO.{s.REQUESTS_STREAM}")
                table = await connection.api(f"STREAM.INFO.{s.TASKS_STREAM}", {"subjects_filter": s.TASKS_TREE})
        except BrokerError:
            return False
        rows = [subject for subject in table["state"].get("subjects") or () if s.parse_task(subject).task != MARKER]
        return inbox["state"]["messages"] == 0 and not rows

    def _left(self) -> str:
        return f"an outcome of each of {len(self.asked)} tasks"
