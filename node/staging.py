"""Where a node's unfinished files lie: a folder for each task below the download folder.

Every method that asks the disk blocks: call it in a thread. What the disk refuses leaves as OSError.
"""

import shutil
from collections.abc import Mapping, Set
from contextlib import suppress
from pathlib import Path

from node.moving import used_bytes
from node.room import Partial
from node.trees import files_below
from schemas.errors import DowndraftError
from schemas.ids import TASK_ID
from schemas.request import STAGING_NAME

DATA_NAME = "data"
"""aria2's `out` in every staging folder; the file gets its own name when it is placed."""
CONTROL_NAME = f"{DATA_NAME}.aria2"
JOURNAL_NAME = "placed.json"
SPLIT_NAME = "split"
"""Lies beside a partial on which more than one connection worked: without its control file it may have holes."""


class DownloadsUnusable(DowndraftError):
    """There is no download folder, and none can be made."""


class Staging:
    """The unfinished files of one node. No two nodes may share a download folder: each sweeps what it does not know."""

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
            self._let_go(task)
            shutil.rmtree(folder)
        self._staged.pop(task, None)

    def wipe_data(self, task: str) -> None:
        """Delete the file that is being downloaded, and all by which it would be continued."""
        for name in (DATA_NAME, CONTROL_NAME, SPLIT_NAME):
            (self.staging(task) / name).unlink(missing_ok=True)

    def _let_go(self, task: str) -> None:
        """Delete what lies elsewhere for the task, before what tells of it is deleted. Nothing does here."""

    def partials(self) -> list[Partial]:
        """What is staged, of whatever task."""
        found: list[Partial] = []
        root = self.downloads / STAGING_NAME
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if TASK_ID.fullmatch(folder.name) and folder.is_dir():
                with suppress(FileNotFoundError):  # wiped by its own task just now
                    found.append(_partial(folder))
        return found


def _partial(folder: Path) -> Partial:
    """What lies in a staging folder. Writing to a file leaves its folder's time alone: the latest of all counts."""
    stats = [stat for _, stat in files_below(folder)]
    touched = max(stat.st_mtime for stat in (folder.stat(), *stats))
    used = sum(used_bytes(stat) for stat in stats if stat.st_nlink == 1)
    return Partial(folder.name, used, touched, (folder / JOURNAL_NAME).exists())
