"""CPU time and peak memory of process trees, read from the kernel's own counters: nothing is sampled."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, CalledProcessError, Popen
from typing import NamedTuple

import anyio.to_thread
import psutil


class Usage(NamedTuple):
    cpu_s: float
    """User and system time."""
    peak_mib: float
    """Sum of the peak resident sizes (VmHWM)."""


NOTHING = Usage(0.0, 0.0)


def trees(pids: Iterable[int]) -> list[psutil.Process]:
    """The processes and all their descendants."""
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            found[one.pid] = one
    return list(found.values())


def of(pids: Iterable[int]) -> Usage:
    """What these process trees have used so far; children that ended count with their parent."""
    cpu_s, peak_kib = 0.0, 0
    for process in trees(pids):
        try:
            times = process.cpu_times()
            cpu_s += times.user + times.system
            peak_kib += _peak_kib(process.pid)
        except psutil.Error:
            continue  # it ended just now
    return Usage(cpu_s, peak_kib / 1024)


def since(before: Usage, after: Usage) -> Usage:
    """CPU used between two readings, and the peak as of the later one."""
    return Usage(after.cpu_s - before.cpu_s, after.peak_mib)


async def of_command(
    command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> tuple[float, Usage]:
    """Run a command to its end: its seconds, and what it used. Raises CalledProcessError where it fails."""
    return await anyio.to_thread.run_sync(partial(_of_command, command, cwd, env))


def _of_command(command: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None) -> tuple[float, Usage]:
    began = time.monotonic()
    process = Popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, cwd=cwd, env=env)
    _, status, used = os.wait4(process.pid, 0)
    took_s = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)  # it is reaped already
    if status:
        raise CalledProcessError(process.returncode, command)
    return took_s, Usage(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _peak_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
