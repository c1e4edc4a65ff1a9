"""A node's download folder: how a whole file gets its final place, and how it is found again after a crash.

Every method blocks on the disk: call them in a thread. What the disk refuses leaves as OSError.

Who may delete what: a file is its task's own while the task's journal names it and it still is the very file that was
placed (size, inode, time). A file that was there before, and that `skip-if-same` completed with, is nobody's to delete.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from threading import Lock

import msgspec
from msgspec import Struct

from node import moving
from node.carrying import carried_beside, let_go
from node.hashing import digest_of
from node.moving import Modes, NameTaken, PlacementFailed, check_inside, folder_for, free_names, lengths_told, moved
from node.staging import JOURNAL_NAME, Staging
from node.trees import PlacedFile, lie_there, remove
from schemas import codec
from schemas.request import IfExists
from schemas.task import Mirror

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
SHARED_NAME = "shared"
"""Lies beside the journal of a placed file with which another task completed: from then on it stays."""


class Placed(Struct, frozen=True, kw_only=True):
    """A task's finished file, or its folder of several. Written before the move: a crash leaves it to be found."""

    path: str
    """Relative to the download folder, with `/`."""
    bytes: int
    digest: str
    """`sha-256=<hex>`; empty for a folder, and where the node takes none."""
    seconds: float
    attempt: int
    inode: int
    modified_ns: int
    """With the inode, what makes the file ours and no other; a device number may change with a reboot. A folder's
    time is not looked at: it changes with what others put into it."""
    is_shared: bool = False
    """It lay there before: the task completed with it and never deletes it."""
    files: tuple[PlacedFile, ...] = ()
    """What a folder has of ours."""
    mirrors: tuple[Mirror, ...] = ()
    """What each of several addresses did for it."""

    def has(self, path: str) -> bool:
        """Whether it put a file there."""
        return path == self.path or any(path == f"{self.path}/{one.path}" for one in self.files)


class Store(Staging):
    """The download folder of one node: what is unfinished, and what was placed."""

    def __init__(self, downloads: Path, modes: Modes | None = None) -> None:
        """Makes the folder where it is missing. Raises DownloadsUnusable."""
        super().__init__(downloads)
        self.modes = modes or Modes()
        self._owning = Lock()
        """Held while a file that has a final name is deleted, replaced or shared: each looks first whose it is."""

    def __repr__(self) -> str:
        return f"<Store {self.downloads}>"

    def place(
        self,
        task: str,
        relative: PurePosixPath,
        *,
        digest: str,
        seconds: float,
        attempt: int,
        if_exists: IfExists = IfExists.RENAME,
        mirrors: tuple[Mirror, ...] = (),
    ) -> Placed:
        """Move the staged file to `relative`; where a file lies there, do as `if_exists` says.

        May be repeated after a crash: a file that got its place keeps it. When this returns, the file's bytes survive
        a power cut; its name does after `sync_names`. Raises PlacementFailed, or OSError when the disk refuses.
        """
        staged = self.data(task)
        placed = self.journal(task)
        if placed is not None:
            self._let_go(task)
        else:
            if self.modes.file is not None:
                staged.chmod(self.modes.file)
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
                mirrors=mirrors,
            )
            with lengths_told(relative):
                placed = self._move(task, staged, wanted, if_exists)
        staged.unlink(missing_ok=True)
        return placed

    def is_taken(self, relative: PurePosixPath) -> bool:
        """Whether something lies there. Raises PlacementFailed for a path that leads out of the download folder."""
        check_inside(self.downloads, relative)
        return os.path.lexists(self.downloads / relative)

    def same(self, relative: PurePosixPath, size: int | None, checksum: str, attempt: int) -> Placed | None:
        """The file that lies there, where it has this checksum and, if known, size: nothing need be downloaded.

        Raises PlacementFailed for a path that leads out of the download folder.
        """
        check_inside(self.downloads, relative)
        final = self.downloads / relative
        found = moving.same_content(final, size, checksum)
        if found is None:
            return None
        lies, digest = found
        shared = Placed(
            path=relative.as_posix(),
            bytes=lies.st_size,
            digest=digest,
            seconds=0.0,
            attempt=attempt,
            inode=lies.st_ino,
            modified_ns=lies.st_mtime_ns,
            is_shared=True,
        )
        return shared if self._share(shared) else None

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

    def journal(self, task: str) -> Placed | None:
        """The task's finished file or folder, if one was placed and still is, with its files, the very one that was."""
        placed = self._placed_before(task)
        if placed is None or not placed.files:
            return placed
        return placed if lie_there(self.downloads / placed.path, placed.files) else None

    def _placed_before(self, task: str) -> Placed | None:
        """As `journal`; of a folder some files may be gone or changed."""
        try:
            placed = codec.decode((self.staging(task) / JOURNAL_NAME).read_bytes(), Placed)
        except (OSError, msgspec.MsgspecError):
            return None
        return placed if self._is_still_there(placed) else None

    def unplace(self, task: str) -> bool:
        """Delete the task's finished file or files, as another attempt's won; whether there were any of its own.

        A folder in which somebody else's files are stays with those.
        """
        with self._owning:
            placed = self._placed_before(task)
            is_own = placed is not None and not placed.is_shared and not (self.staging(task) / SHARED_NAME).exists()
            if placed is not None and is_own:
                final = self.downloads / placed.path
                if placed.files:
                    remove(final, placed.files)
                else:
                    final.unlink()
                moving.sync(final.parent)
        self.wipe(task)
        return is_own

    def folder_for(self, relative: PurePosixPath) -> Path:
        """The folder that is to hold `relative`, made if need be. Raises PlacementFailed for one outside."""
        return folder_for(self.downloads, relative, self.modes.folder)

    def _move(self, task: str, staged: Path, wanted: Placed, if_exists: IfExists) -> Placed:
        """Move to the path wanted, by a copy where that is on another file system; what became of it."""
        folder = self.folder_for(PurePosixPath(wanted.path))
        try:
            return self._settle(task, staged, wanted, folder, if_exists)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        carried = carried_beside(self.downloads, self.staging(task), PurePosixPath(wanted.path))
        moving.copied(staged, carried)
        found = carried.stat()
        wanted = msgspec.structs.replace(wanted, inode=found.st_ino, modified_ns=found.st_mtime_ns)
        placed = self._settle(task, carried, wanted, folder, if_exists)
        self._let_go(task)
        return placed

    def _settle(self, task: str, source: Path, wanted: Placed, folder: Path, if_exists: IfExists) -> Placed:
        """Give `source`, which lies on the folder's file system, the name wanted, or what `if_exists` makes of it."""
        relative = PurePosixPath(wanted.path)
        if if_exists is IfExists.OVERWRITE:
            self._record(task, wanted)
            with self._owning:
                moving.replace(source, folder / relative.name)
            return wanted
        for name in free_names(relative.name):
            final = folder / name
            placed = msgspec.structs.replace(wanted, path=relative.with_name(name).as_posix())
            if not os.path.lexists(final):
                self._record(task, placed)
                if moved(source, final):
                    return placed
            if if_exists is IfExists.FAIL:
                raise NameTaken(f"{relative} exists already")
            if if_exists is IfExists.SKIP_IF_SAME and (same := self._same(task, source, placed)):
                return same
        raise PlacementFailed(f"{moving.NAMES_MAX} files are called like {relative} already")

    def _same(self, task: str, source: Path, placed: Placed) -> Placed | None:
        """The file that lies at the path of `placed`, where it has `source`'s content; from now on it is shared."""
        digest = placed.digest or digest_of(source, None)[0]
        found = moving.same_content(self.downloads / placed.path, placed.bytes, digest)
        if found is None:
            return None
        inode, modified_ns = found[0].st_ino, found[0].st_mtime_ns
        shared = msgspec.structs.replace(placed, digest=digest, inode=inode, modified_ns=modified_ns, is_shared=True)
        if not self._share(shared):
            return None
        self._record(task, shared)
        return shared

    def _share(self, shared: Placed) -> bool:
        """See to it that no other task deletes a file as its own; False where it is gone."""
        with self._owning:
            if not self._is_still_there(shared):
                return False
            for other in tuple(self._staged):
                theirs = self.journal(other)
                if theirs is not None and not theirs.is_shared and theirs.has(shared.path):
                    with suppress(FileNotFoundError):  # it is over just now: then it deletes nothing any more
                        (self.staging(other) / SHARED_NAME).touch()
            return True

    def _is_still_there(self, placed: Placed) -> bool:
        try:
            found = (self.downloads / placed.path).lstat()
        except OSError:
            return False
        if placed.files:
            return placed.inode == found.st_ino
        return (placed.bytes, placed.inode, placed.modified_ns) == (found.st_size, found.st_ino, found.st_mtime_ns)

    def _let_go(self, task: str) -> None:
        let_go(self.downloads, self.staging(task))

    def _record(self, task: str, placed: Placed) -> None:
        """Write the journal, if there is room for it."""
        try:
            self._write_journal(task, placed)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            # A second name takes no room: a whole file gets it all the same, only a crash just now is not undone.

    def _write_journal(self, task: str, placed: Placed) -> None:
        """Written before the move that it describes, in one write: a killed process leaves all of it or nothing.

        Not synced: a power cut just now may lose it, and the file is downloaded once more beside the first.
        """
        (self.staging(task) / JOURNAL_NAME).write_bytes(codec.encode(placed))
