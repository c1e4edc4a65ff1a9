"""`downdraft down`: end a cluster that `up` runs, or what a killed `up` left behind."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import psutil
from msgspec import Struct
from rich.console import Console

from schemas.errors import DowndraftError
from tools.keeper import DataTaken, keeper, keeping
from tools.leftovers import end_leftovers
from tools.looking import print_json

DOWN_WITHIN_S = 60.0
"""An orderly end takes 25 s at most: 10 for the nodes, 10 for the coordinators, 5 for the broker."""
LOOK_EVERY_S = 0.05


class NotDown(DowndraftError):
    """The cluster did not end in time."""


class Ended(Struct, frozen=True):
    """What was ended."""

    data: str
    processes: int
    leftovers: bool
    """Whether nobody supervised them any more."""
    seconds: float


async def bring_down(data: Path, *, as_json: bool) -> bool:
    """End it and say so. False where nothing runs. Raises NotDown, KeeperUnknown."""
    console = Console()
    with console.status("nodes give back what they hold …"):
        ended = await _end(data)
    if as_json:
        nothing: dict[str, Any] = {"data": str(data), "processes": 0, "leftovers": False, "seconds": 0.0}
        print_json(ended or nothing)
    elif ended is None:
        console.print(f"nothing runs in {str(data)!r}", soft_wrap=True, highlight=False)
    else:
        what = "that a killed `up` had left" if ended.leftovers else "in their order"
        line = f"ended {ended.processes} processes {what} in {ended.seconds:.1f} s ({data})"
        console.print(line, soft_wrap=True, highlight=False)
    return ended is not None


async def _end(data: Path) -> Ended | None:
    began_at = anyio.current_time()
    supervisor = keeper(data)
    family = [supervisor, *supervisor.children(recursive=True)] if supervisor is not None else []
    if supervisor is not None:
        with suppress(psutil.NoSuchProcess):
            supervisor.terminate()
        await _until_gone(family)
    # A supervisor that was killed, now or long ago, could not tidy up behind itself.
    left = 0
    if data.is_dir():
        with suppress(DataTaken), keeping(data):  # taken: somebody has started it again since
            left = await end_leftovers(data)
    if not family and not left:
        return None
    return Ended(str(data), len(family) + left, not family, round(anyio.current_time() - began_at, 3))


async def _until_gone(family: list[psutil.Process]) -> None:
    with anyio.move_on_after(DOWN_WITHIN_S):
        while any(map(_runs, family)):
            await anyio.sleep(LOOK_EVERY_S)
        return
    alive = ", ".join(str(process.pid) for process in family if _runs(process))
    raise NotDown(f"still running after {DOWN_WITHIN_S:g} s: {alive}; `downdraft down` once more kills what is left")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
