"""Looking at a node's disks, time and again: what is free, and whether anything can be written.

A disk may hang for as long as it likes (a network share whose server is gone): each look has a thread of its own and
is waited for no longer than LOOK_WITHIN_S.
"""

import errno
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

import anyio
import anyio.from_thread
import anyio.lowlevel
import structlog

from node.allotment import Allotment
from node.files import NO_ROOM
from node.room import Look, Marks, Room, after
from schemas.request import STAGING_NAME

log = structlog.get_logger()

LOOK_WITHIN_S = 1.0
SILENT_AFTER_S = 10.0
"""A disk that is merely busy answers by then; a fleet's share that hangs is told before anybody wonders."""
PROBE_NAME = "probe"
"""Written anew with each look. That it lies there tells the node's disk from an empty folder where it was mounted."""
PROBE_BYTES = 4096
"""One block: where none is left, or a quota is used up, writing it fails."""


class Disk:
    """The disks of one node: the one it downloads to, and the one with its own state."""

    allotment: Allotment | None = None
    """What the download folder may take up; None: the whole disk."""

    def __init__(self, downloads: Path, state: Path, marks: Marks, allotment: Allotment | None = None) -> None:
        """`downloads` exists already."""
        self.allotment = allotment
        self.marks = marks
        self.room = Room()
        self._downloads, self._state = downloads, state
        self.tell: Callable[[], Awaitable[None]] = _nobody
        """Called when there is something new to say."""
        self._device = downloads.stat().st_dev
        self._under_way: _UnderWay | None = None
        """One look at a time: many would pile up in a disk that hangs, and be in each other's way when it answers."""
        self._answered_at = anyio.current_time()
        self._asked = downloads
        """The folder whose disk is looked at just now."""

    def __repr__(self) -> str:
        return f"<Disk {self._downloads}: {self.room.trouble or 'open'}>"

    def placed(self, size: int) -> None:
        """A file of so many bytes got its place; a negative size: one was deleted."""
        if self.allotment is not None:
            self.allotment.placed(size)

    async def look(self) -> Room:
        """Look, for LOOK_WITHIN_S at most; one that does not answer is as it was, for SILENT_AFTER_S."""
        if self._under_way is None or self._under_way.done.is_set():
            self._under_way = _UnderWay(self._look)
        looking = self._under_way
        with anyio.move_on_after(LOOK_WITHIN_S):
            await looking.done.wait()
        found, now = looking.found, anyio.current_time()
        if found is not None:
            self._answered_at = now
        elif now - self._answered_at > SILENT_AFTER_S:
            problem = f"the disk of {self._asked} does not answer"
            found = Look(free_bytes=self.room.free_bytes, capacity_bytes=self.room.capacity_bytes, problem=problem)
        if found is not None:
            before, self.room = self.room, after(self.room, found, self.marks)
            if self.room.kind != before.kind:
                _log(before, self.room)
                await self.tell()
        return self.room

    def _look(self) -> Look:
        state_problem = ""
        self._asked = self._state
        try:
            _write(self._state)
        except OSError as error:
            state_problem = _said(self._state, error)
        self._asked = self._downloads
        try:
            self._write_downloads()
            problem, is_spent = "", False
        except OSError as error:
            problem, is_spent = _said(self._downloads, error), error.errno in NO_ROOM
        free_bytes = capacity_bytes = 0
        is_allotted = False
        try:
            usage = shutil.disk_usage(self._downloads)
            free_bytes, capacity_bytes = usage.free, usage.total
            if self.allotment is not None:
                left, capacity_bytes = self.allotment.free(), min(usage.total, self.allotment.limit)
                is_allotted, free_bytes = left < free_bytes, min(left, free_bytes)
        except OSError as error:
            problem = problem or _said(self._downloads, error)
        return Look(
            free_bytes=free_bytes,
            capacity_bytes=capacity_bytes,
            is_allotted=is_allotted,
            problem=problem,
            is_spent=is_spent,
            state_problem=state_problem,
        )

    def _write_downloads(self) -> None:
        """Write into the staging folder, made anew where somebody deleted it, but never on another disk."""
        staging = self._downloads / STAGING_NAME
        if not (staging / PROBE_NAME).exists():
            nearest = next(folder for folder in (staging, *staging.parents) if folder.exists())
            if nearest.stat().st_dev != self._device:
                raise OSError(errno.ENODEV, "this is another disk than the one it began with: is that not mounted?")
            staging.mkdir(parents=True, exist_ok=True)
        _write(staging)
        self._device = staging.stat().st_dev


class _UnderWay:
    """A look in a thread of its own, which the end of the process does not wait for."""

    def __init__(self, look: Callable[[], Look]) -> None:
        self.done = anyio.Event()
        self.found: Look | None = None
        self._look = look
        self._token = anyio.lowlevel.current_token()
        Thread(target=self._run, name="look at the disk", daemon=True).start()

    def _run(self) -> None:
        self.found = self._look()
        with suppress(anyio.RunFinishedError):  # nobody waits any more
            anyio.from_thread.run_sync(self.done.set, token=self._token)


def _log(before: Room, room: Room) -> None:
    if room.trouble:
        log.warning("no tasks are taken", problem=room.trouble)
    else:
        log.info("tasks are taken again", problem_was=before.trouble, free_bytes=room.free_bytes)


async def _nobody() -> None:
    """Nobody is told."""


def _write(folder: Path) -> None:
    """Write a file as a download would: a new one, that takes a block, in place of the one before."""
    new = folder / f"{PROBE_NAME}.new"
    try:
        new.write_bytes(bytes(PROBE_BYTES))
        new.replace(folder / PROBE_NAME)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise


def _said(folder: Path, error: OSError) -> str:
    return f"can't write to {folder}: {error.strerror or error}"
