"""Stands by a drill and tidies up behind it, however it ends: what still runs on its folder is killed.

python -m tools.drill.guard FOLDER       waits until its stdin closes
"""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

import psutil

GONE_WITHIN_S = 5.0
KEEP = "keep"
"""A file of this name in the folder says that the folder is to stay."""


def leftovers(folder: Path) -> list[psutil.Process]:
    """Processes that were started for this very folder, which is like no other; oneself left out."""
    return [process for process in psutil.process_iter() if _works_on(process, str(folder))]


def _works_on(process: psutil.Process, folder: str) -> bool:
    try:
        if process.pid == psutil.Process().pid:
            return False
        if any(folder in word for word in process.cmdline()):
            return True
        return process.environ().get("DOWNDRAFT_NATS_CREDS", "").startswith(f"{folder}/")
    except psutil.Error:
        return False  # gone, or another user's


def tidy_up(folder: Path) -> None:
    """Kill what is left and delete the folder, unless it is to be kept."""
    # Killing a node leaves its aria2c behind for a moment, and a frozen one for ever: so once more until all are gone.
    while left := leftovers(folder):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=GONE_WITHIN_S)
    if not (folder / KEEP).exists():
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.stdin.read()
    tidy_up(Path(sys.argv[1]))
