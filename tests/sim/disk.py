"""A node's disk that outlives its processes, and a Workshop that works on it instead of on a real one."""

import errno
import random
from collections.abc import Sequence

import anyio
from msgspec import Struct

import node.disk
from node.asking import Wait
from node.daemon import Lane
from node.failures import Verdict
from node.files import Placed
from node.finishing import SMALL_BYTES_MAX, Finished, disk_trouble
from node.naming import final_path
from node.room import Look, Marks, Room, after
from node.session import Session
from node.transfers import Addition
from node.workshop import Looked, Workshop
from schemas.task import FailureClass, Mirror
from tests.sim.origins import Origin, Origins

ROOM_BYTES = 1 << 40
ATTEMPT = "sim-attempt"
"""An option of additions that tells the simulated lane which attempt it works for."""


class File(Struct, frozen=True):
    """A whole file under its own name."""

    task: str
    uri: str
    digest: str
    bytes: int


class Disk:
    """What is left after a SIGKILL: partial files, journals, finished files, and who ran here."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.partial: dict[str, float] = {}
        """Share of the file that is staged, by task."""
        self.damaged: set[str] = set()
        """Staged and whole, but wrong."""
        self.journal: dict[str, Placed] = {}
        self.files: dict[str, File] = {}
        self.instances: list[str] = []
        self.is_full = False

    def __repr__(self) -> str:
        return f"<Disk {self.name}: {len(self.partial)} partial, {len(self.files)} files>"

    def has(self, path: str, task: str) -> bool:
        return path in self.files and self.files[path].task == task


class SimLooks(node.disk.Disk):
    """How the node sees that disk: there is room, or there is none."""

    def __init__(self, disk: Disk, marks: Marks) -> None:
        self.marks = marks
        self.room = Room()
        self.tell = _nobody
        self._disk = disk

    async def look(self) -> Room:
        free_bytes = 0 if self._disk.is_full else ROOM_BYTES
        before, self.room = self.room, after(self.room, Look(free_bytes=free_bytes), self.marks)
        if self.room.kind != before.kind:
            await self.tell()
        return self.room


async def _nobody() -> None:
    """Nobody is told."""


class SimWorkshop(Workshop):
    """The steps of a session on a simulated disk; each takes a moment, and a crash may come between any two."""

    def __init__(self, disk: Disk, origins: Origins, dice: random.Random) -> None:
        self._disk = disk
        self._origins = origins
        self._dice = dice

    async def _moment(self) -> None:
        await anyio.sleep(self._dice.uniform(0.001, 0.02))

    async def look(self, session: Session) -> Looked:
        task = session.task
        await self._moment()
        placed = self._disk.journal.get(task)
        if placed is not None and self._disk.has(placed.path, task):
            return Looked(placed=placed)
        size = _origin(self._origins, session).bytes
        lane = Lane.SMALL if size <= SMALL_BYTES_MAX else Lane.LARGE
        return Looked(lane=lane, is_fresh=self.is_fresh(task), size=size)

    def asked_bytes(self, session: Session) -> int | None:
        return session.row.request.size_bytes if session.row.request else None

    async def prepare(self, session: Session) -> Verdict | None:
        await self._moment()
        self._refuse_if_full()
        return None

    def addition(self, session: Session) -> Addition:
        assert session.row.request is not None
        return Addition(session.task, session.row.request.uris, {ATTEMPT: str(session.row.attempt)})

    def has_doubts(self, session: Session) -> bool:
        """A simulated origin does not change its files."""
        return False

    def keep(self, session: Session) -> None:
        """A simulated origin does not change its files."""

    def forget(self, task: str) -> None:
        """Nothing was kept of it."""

    async def finish(self, whole: Sequence[tuple[Session, float]]) -> list[Finished]:
        return [await self._place(session, seconds) for session, seconds in whole]

    async def _place(self, session: Session, seconds: float) -> Placed | Verdict:
        task, disk, origin = session.task, self._disk, _origin(self._origins, session)
        await self._moment()
        if task in disk.damaged:
            return Verdict(FailureClass.DAMAGED, "checksum-mismatch", "the simulated file is wrong")
        try:
            self._refuse_if_full()
        except OSError as error:
            return disk_trouble(error)
        assert session.row.request is not None
        assert disk.partial.get(task) == 1.0, f"{task} is not whole: {disk.partial.get(task)}"
        path, number = str(final_path(session.row)), 0
        while path in disk.files and disk.files[path].task != task:
            number += 1
            path = f"{final_path(session.row)}.{number}"
        attempt = session.row.attempt
        placed = Placed(
            path=path,
            bytes=origin.bytes,
            digest=origin.digest,
            seconds=seconds,
            attempt=attempt,
            inode=0,
            modified_ns=0,
        )
        disk.journal[task] = placed
        await self._moment()
        disk.files[path] = File(task, origin.uri, origin.digest, origin.bytes)
        await self._moment()
        return placed

    async def wipe(self, task: str) -> None:
        await self._moment()
        self._wipe(task)

    def wipe_sometime(self, task: str) -> None:
        self._wipe(task)

    def _wipe(self, task: str) -> None:
        self._disk.partial.pop(task, None)
        self._disk.journal.pop(task, None)
        self._disk.damaged.discard(task)

    async def unplace(self, task: str) -> None:
        await self._moment()
        placed = self._disk.journal.get(task)
        if placed is not None and self._disk.has(placed.path, task):
            del self._disk.files[placed.path]
        self._wipe(task)

    async def wipe_after(self, session: Session, verdict: Verdict) -> None:
        await self.wipe(session.task)

    def mirrors(self, session: Session, size: int | None = None) -> tuple[Mirror, ...]:
        return ()

    async def wait(self, session: Session) -> Wait | None:
        await self._moment()
        return None

    def is_fresh(self, task: str) -> bool:
        return task not in self._disk.partial

    def _refuse_if_full(self) -> None:
        if self._disk.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")


def _origin(origins: Origins, session: Session) -> Origin:
    assert session.row.request is not None
    return origins.of(session.row.request.uris[0])
