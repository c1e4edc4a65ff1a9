"""A node's download folder: how a whole file gets its final place, and how it is found again after a crash.

Every method blocks on the disk: call them in a thread. What the disk refuses leaves as OSError.
"""

import errno
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from node import moving
from node.moving import PlacementFailed, folder_for, free_names, moved
from node.staging import JOURNAL_NAME, Staging
from schemas import codec

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class Placed(Struct, frozen=True, kw_only=True):
    """A task's finished file. Written before the move, so that a crash at any point leaves it to be found."""

    path: str
    """Relative to the download folder, with `/`."""
    bytes: int
    digest: str
    """`sha-256=<hex>`."""
    seconds: float
    attempt: int
    inode: int
    modified_ns: int
    """With the inode, what makes the file ours and no other; a device number may change with a reboot."""


class Store(Staging):
    """The download folder of one node: what is unfinished, and what was placed."""

    def __repr__(self) -> str:
        return f"<Store {self.downloads}>"

    def place(self, task: str, relative: PurePosixPath, *, digest: str, seconds: float, attempt: int) -> Placed:
        """Move the staged file to `relative`, or beside it as `name.1.ext` …, never over another file.

        May be repeated after a crash: a file that got its place keeps it. When this returns, the file's bytes survive
        a power cut; its name does after `sync_names`. Raises PlacementFailed, or OSError when the disk refuses.
        """
        staged = self.data(task)
        placed = self.journal(task)
        if placed is None:
            moving.sync(staged)
            found = staged.stat()
            wanted = Placed(
                path=relative.as_posix(),
                bytes=found.st_size,
                digest=digest,
                seconds=seconds,
                attempt=attempt,
                inode=found.st_ino,
                modified_ns=found.st_mtime_ns,
            )
            placed = self._move(task, staged, wanted)
        staged.unlink(missing_ok=True)
        return placed

    def sync_names(self, placed: Iterable[Placed]) -> dict[str, OSError]:
        """Have the names of placed files survive a power cut: each folder is synced once. By path, what failed."""
        paths: dict[Path, list[str]] = {}
        for one in placed:
            paths.setdefault((self.downloads / one.path).parent, []).append(one.path)
        troubled: dict[str, OSError] = {}
        for folder, inside in paths.items():
            try:
                moving.sync(folder)
            except OSError as error:
                troubled |= dict.fromkeys(inside, error)
        return troubled

    def _move(self, task: str, staged: Path, wanted: Placed) -> Placed:
        """Move to the path wanted or the next free one beside it; what became of it."""
        relative = PurePosixPath(wanted.path)
        folder = folder_for(self.downloads, relative)
        for name in free_names(relative.name):
            final = folder / name
            if os.path.lexists(final):
                continue
            path = relative.with_name(name).as_posix()
            placed = msgspec.structs.replace(wanted, path=path)
            try:
                self._write_journal(task, placed)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                # A second name takes no room: a whole file gets it all the same, only a crash just now is not undone.
            if moved(staged, final):
                return placed
        raise PlacementFailed(f"{moving.NAMES_MAX} files are called like {relative} already")

    def journal(self, task: str) -> Placed | None:
        """The task's finished file, if one was placed and still is the very file that was."""
        try:
            placed = codec.decode((self.staging(task) / JOURNAL_NAME).read_bytes(), Placed)
            found = (self.downloads / placed.path).lstat()
        except (OSError, msgspec.MsgspecError):
            return None
        recorded = (placed.bytes, placed.inode, placed.modified_ns)
        return placed if recorded == (found.st_size, found.st_ino, found.st_mtime_ns) else None

    def unplace(self, task: str) -> bool:
        """Delete the task's finished file, as another attempt's won; whether there was one."""
        placed = self.journal(task)
        if placed is not None:
            final = self.downloads / placed.path
            final.unlink()
            moving.sync(final.parent)
        self.wipe(task)
        return placed is not None

    def _write_journal(self, task: str, placed: Placed) -> None:
        """Written before the move that it describes, in one write: a killed process leaves all of it or nothing.

        Not synced: a power cut just now may lose it, and the file is downloaded once more beside the first.
        """
        (self.staging(task) / JOURNAL_NAME).write_bytes(codec.encode(placed))
