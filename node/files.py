"""A node's download folder: where unfinished files are staged, and how a whole one gets its final place.

Every method blocks on the disk: call them in a thread. What the disk refuses leaves as OSError.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from node.room import Partial
from node.trees import PlacedFile, files_below, lie_there, numbered, remove
from schemas import codec
from schemas.errors import DowndraftError
from schemas.ids import TASK_ID
from schemas.request import STAGING_NAME
from schemas.task import Mirror

DATA_NAME = "data"
"""aria2's `out` in every staging folder; the file gets its own name when it is placed."""
CONTROL_NAME = f"{DATA_NAME}.aria2"
JOURNAL_NAME = "placed.json"
SPLIT_NAME = "split"
"""Lies beside a partial on which more than one connection worked: without its control file it may have holes."""
BLOCK_BYTES = 1 << 20
EMPTY_DIGEST = f"sha-256={hashlib.sha256().hexdigest()}"
BLOCK_UNIT_BYTES = 512
"""The unit of st_blocks, whatever the file system's own."""
NAMES_MAX = 10_000
"""Files that may share a name as `name`, `name.1` …: past that something loops."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""How file systems without hard links (FAT, some network shares) refuse one."""
_HASHES = {"sha-1": "sha1", "sha-224": "sha224", "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}


class DownloadsUnusable(DowndraftError):
    """There is no download folder, and none can be made."""


class PlacementFailed(DowndraftError):
    """A whole file can't be put where it was asked for."""


class Placed(Struct, frozen=True, kw_only=True):
    """A task's finished file, or its folder of several. Written before the move: a crash leaves it to be found."""

    path: str
    """Relative to the download folder, with `/`."""
    bytes: int
    digest: str
    """`sha-256=<hex>`; empty for a folder."""
    seconds: float
    attempt: int
    inode: int
    modified_ns: int
    """With the inode, what makes the file ours and no other; a device number may change with a reboot. A folder's
    time is not looked at: it changes with what others put into it."""
    files: tuple[PlacedFile, ...] = ()
    """What a folder has of ours."""
    mirrors: tuple[Mirror, ...] = ()
    """What each of several addresses did for it."""


class Store:
    """The download folder of one node. No two nodes may share one: each sweeps what it does not know."""

    def __init__(self, downloads: Path) -> None:
        """Makes the folder where it is missing. Raises DownloadsUnusable."""
        try:
            downloads.mkdir(parents=True, exist_ok=True)
            names = [folder.name for folder in (downloads / STAGING_NAME).iterdir()]
        except FileNotFoundError:
            names = []
        except OSError as error:
            raise DownloadsUnusable(
                f"the download folder {str(downloads)!r} can't be used: {error.strerror or error}; "
                "mount its disk or give the rights, or name another folder with --downloads (node.downloads)"
            ) from error
        self.downloads = downloads.resolve()
        self._staging = self.downloads / STAGING_NAME
        self._staged = dict.fromkeys((name for name in names if TASK_ID.fullmatch(name)), 0)
        """Tasks that may have something staged, each with when it was last expected: a count."""
        self._expectations = 0

    def __repr__(self) -> str:
        return f"<Store {self.downloads}>"

    def staging(self, task: str) -> Path:
        """The folder of a task's unfinished files. Raises ValueError for what is no task id."""
        if not TASK_ID.fullmatch(task):
            raise ValueError(f"not a task id: {task!r}")
        return self._staging / task

    def data(self, task: str) -> Path:
        return self.staging(task) / DATA_NAME

    def is_fresh(self, task: str) -> bool:
        """Whether nothing can be staged of the task: known without asking the disk."""
        return task not in self._staged

    def expect(self, task: str) -> Path:
        """From now on something may be staged of the task: its folder, which aria2 makes where it is missing."""
        folder = self.staging(task)
        self._expectations += 1
        self._staged[task] = self._expectations
        return folder

    def expected(self, keep: Set[str]) -> dict[str, int]:
        """Of which tasks not in `keep` something may be staged; for `missing` and `forget`. Touches no disk."""
        return {task: count for task, count in self._staged.items() if task not in keep}

    def missing(self, expected: Mapping[str, int]) -> dict[str, int]:
        """Those of them that have no staging folder: aria2 makes none for a download that never began."""
        return {task: count for task, count in expected.items() if not self.staging(task).exists()}

    def forget(self, missing: Mapping[str, int]) -> None:
        """Nothing is staged of these, unless something was expected since. Touches no disk."""
        for task, count in missing.items():
            if self._staged.get(task) == count:
                del self._staged[task]

    def prepare(self, task: str, split: bool) -> None:
        """Make the staging folder fit to be downloaded into; `split`: by more than one connection."""
        folder = self.staging(task)
        folder.mkdir(parents=True, exist_ok=True)
        data, control, marker = folder / DATA_NAME, folder / CONTROL_NAME, folder / SPLIT_NAME
        if (split or marker.exists()) and not control.exists():
            # aria2 would take the partial's holes for data and report a corrupt file as complete.
            data.unlink(missing_ok=True)
        if split:
            marker.touch()
        if data.exists() and data.stat().st_nlink > 1:
            # A crash came between the two halves of a move: to write on here would change the finished file.
            data.unlink()
        if not data.exists():
            control.unlink(missing_ok=True)

    def wipe(self, task: str) -> None:
        """Delete all that is staged of a task, its journal included; a placed file stays."""
        folder = self.staging(task)
        with suppress(FileNotFoundError):
            (folder / JOURNAL_NAME).unlink()
        try:
            folder.rmdir()  # mostly that is all
        except FileNotFoundError:
            pass
        except OSError:
            shutil.rmtree(folder)
        self._staged.pop(task, None)

    def wipe_data(self, task: str) -> None:
        """Delete the file that is being downloaded, and all by which it would be continued."""
        for path in (self.data(task), self.staging(task) / CONTROL_NAME, self.staging(task) / SPLIT_NAME):
            path.unlink(missing_ok=True)

    def place(
        self,
        task: str,
        relative: PurePosixPath,
        *,
        digest: str,
        seconds: float,
        attempt: int,
        mirrors: tuple[Mirror, ...] = (),
    ) -> Placed:
        """Move the staged file to `relative`, or beside it as `name.1.ext` …, never over another file.

        May be repeated after a crash: a file that got its place keeps it. When this returns, the file's bytes survive
        a power cut; its name does after `sync_names`. Raises PlacementFailed, or OSError when the disk refuses.
        """
        staged = self.data(task)
        placed = self.journal(task)
        if placed is None:
            sync(staged)
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
                sync(folder)
            except OSError as error:
                troubled |= dict.fromkeys(inside, error)
        return troubled

    def _move(self, task: str, staged: Path, wanted: Placed) -> Placed:
        """Move to the path wanted or the next free one beside it; what became of it."""
        relative = PurePosixPath(wanted.path)
        folder = self.folder_for(relative)
        for name in _names(relative.name):
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
            if _moved(staged, final):
                return placed
        raise PlacementFailed(f"{NAMES_MAX} files are called like {relative} already")

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
            found = (self.downloads / placed.path).lstat()
        except (OSError, msgspec.MsgspecError):
            return None
        if placed.files:
            return placed if placed.inode == found.st_ino else None
        recorded = (placed.bytes, placed.inode, placed.modified_ns)
        return placed if recorded == (found.st_size, found.st_ino, found.st_mtime_ns) else None

    def unplace(self, task: str) -> bool:
        """Delete the task's finished file or files, as another attempt's won; whether there were any.

        A folder in which somebody else's files are stays with those.
        """
        placed = self._placed_before(task)
        if placed is not None:
            final = self.downloads / placed.path
            if placed.files:
                remove(final, placed.files)
            else:
                final.unlink()
            sync(final.parent)
        self.wipe(task)
        return placed is not None

    def partials(self) -> list[Partial]:
        """What is staged, of whatever task."""
        found: list[Partial] = []
        root = self.downloads / STAGING_NAME
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if TASK_ID.fullmatch(folder.name) and folder.is_dir():
                with suppress(FileNotFoundError):  # wiped by its own task just now
                    found.append(_partial(folder))
        return found

    def folder_for(self, relative: PurePosixPath) -> Path:
        """The folder that is to hold `relative`, made if need be, with what was made synced.

        Raises PlacementFailed for one outside the download folder, links included, or among the unfinished.
        """
        folder = self.downloads.joinpath(relative).parent
        self._check_inside(folder, relative)
        if folder.is_dir():
            return folder
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise PlacementFailed(f"{relative} can't be stored: a file lies where its folder should be") from error
        for made in missing:
            sync(made.parent)
        return folder

    def _check_inside(self, folder: Path, relative: PurePosixPath) -> None:
        resolved = os.path.realpath(folder)  # for each file: pathlib takes ten times as long
        is_inside = os.path.commonpath((self.downloads, resolved)) == str(self.downloads)
        if not is_inside or not relative.name or ".." in relative.parts:
            raise PlacementFailed(f"{relative} would lie outside the download folder")
        if f"{resolved}/".startswith(f"{self._staging}/"):
            raise PlacementFailed(f"{relative} would lie among the unfinished downloads")

    def _write_journal(self, task: str, placed: Placed) -> None:
        """Written before the move that it describes, in one write: a killed process leaves all of it or nothing.

        Not synced: a power cut just now may lose it, and the file is downloaded once more beside the first.
        """
        (self.staging(task) / JOURNAL_NAME).write_bytes(codec.encode(placed))


def digest(path: Path, checksum: str | None) -> tuple[str, bool]:
    """(`sha-256=<hex>`, whether the file has `checksum`) in one pass; True where no checksum is asked for.

    `checksum` is `<type>=<hex>` with a type of schemas.request.DIGEST_HEX.
    """
    kind, _, wanted = (checksum or "").partition("=")
    ours = hashlib.sha256()
    theirs = hashlib.new(_HASHES.get(kind, kind), usedforsecurity=False) if checksum else None
    if kind == "sha-256":
        theirs = ours
    with path.open("rb", buffering=0) as opened:
        block_bytes = min(BLOCK_BYTES, os.fstat(opened.fileno()).st_size + 1)
        while block := opened.read(block_bytes):
            ours.update(block)
            if theirs is not None and theirs is not ours:
                theirs.update(block)
    matches = theirs is None or theirs.hexdigest() == wanted.lower()
    return f"sha-256={ours.hexdigest()}", matches


def _moved(staged: Path, final: Path) -> bool:
    """Give the staged file its final name; False where another file took it meanwhile."""
    try:
        os.link(staged, final)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise PlacementFailed(f"{final.parent} is another file system than the download folder") from error
        if error.errno not in _NO_LINKS:
            raise
        return _moved_without_links(staged, final)
    return True


def _moved_without_links(staged: Path, final: Path) -> bool:
    """Reserve the name, then replace our own empty file: a crash between leaves that behind, and loses nothing."""
    try:
        os.close(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    staged.replace(final)
    return True


def _names(name: str) -> Iterator[str]:
    """`name.ext`, `name.1.ext`, `name.2.ext` …, each short enough for a file system."""
    yield name
    yield from (numbered(name, number) for number in range(1, NAMES_MAX))


def _partial(folder: Path) -> Partial:
    """What lies in a staging folder. Writing to a file leaves its folder's time alone: the latest of all counts."""
    stats = [stat for _, stat in files_below(folder)]
    touched = max(stat.st_mtime for stat in (folder.stat(), *stats))
    used = sum(stat.st_blocks * BLOCK_UNIT_BYTES for stat in stats if stat.st_nlink == 1)
    return Partial(folder.name, used, touched, (folder / JOURNAL_NAME).exists())


def sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
