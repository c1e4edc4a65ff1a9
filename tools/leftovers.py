"""Processes of an `up` that was killed itself: nobody supervises them, and they would hold ports and locks."""

from pathlib import Path

import anyio.to_thread
import msgspec
import psutil
import structlog

from schemas import codec
from tools.context import UP_FILE, Up

log = structlog.get_logger()

GO_WITHIN_S = 10.0


async def end_leftovers(data: Path) -> None:
    """End what the `up.json` of a killed supervisor still names; nodes may give back what they hold.

    The caller holds the lock on `data`, so no other supervisor is alive.
    """
    file = data / UP_FILE
    try:
        named = codec.decode(file.read_bytes(), Up).pids
    except (OSError, msgspec.MsgspecError):
        return
    found = [process for pid in named.values() if (process := _ours(pid, data.resolve())) is not None]
    if found:
        log.warning("ending what an earlier, killed `up` left running", pids=[process.pid for process in found])
        await anyio.to_thread.run_sync(_end, found)
    file.unlink(missing_ok=True)


def _ours(pid: int, data: Path) -> psutil.Process | None:
    """The process if it works on this very data folder: a pid may be somebody else's by now."""
    try:
        process = psutil.Process(pid)
        about = [*process.cmdline(), process.environ().get("DOWNDRAFT_NATS_CREDS", "")]
    except psutil.Error:
        return None
    return process if any(text.startswith(f"{data}/") for text in about) else None


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=GO_WITHIN_S)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=GO_WITHIN_S)
