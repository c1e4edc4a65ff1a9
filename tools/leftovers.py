"""Processes of an `up` that was killed itself: nobody supervises them, and they would hold ports and locks."""

from contextlib import suppress
from pathlib import Path

import anyio.to_thread
import psutil
import structlog

from broker.embedded import CONF, KEYS
from tools.context import UP_FILE

log = structlog.get_logger()

GO_WITHIN_S = 10.0
SUPERVISED = {"coordinator", "node"}


async def end_leftovers(data: Path) -> int:
    """End what a killed supervisor left running on this data folder; nodes may give back what they hold.

    Returns how many processes that were.

    Found by what they are, not by a list: a supervisor may be killed before it could write one down. The caller
    holds the lock on `data`, so no other supervisor is alive.
    """
    found = [process for process in psutil.process_iter() if _works_on(process, data.resolve())]
    if found:
        log.warning("ending what an earlier, killed `up` left running", pids=[process.pid for process in found])
        await anyio.to_thread.run_sync(_end, found)
    (data / UP_FILE).unlink(missing_ok=True)
    return len(found)


def _works_on(process: psutil.Process, data: Path) -> bool:
    """Whether it is the broker, a coordinator or a node that an `up` started on this very folder."""
    try:
        command = process.cmdline()
        if str(data / CONF) in command:
            return "nats-server" in process.name()
        if SUPERVISED.isdisjoint(command) or "tools" not in command:
            return False
        return process.environ().get("DOWNDRAFT_NATS_CREDS", "").startswith(f"{data / KEYS}/")
    except psutil.Error:
        return False  # gone, or another user's


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=GO_WITHIN_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=GO_WITHIN_S)
