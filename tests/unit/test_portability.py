"""Nothing needlessly asks for a POSIX system: every module can be imported where what only those have is missing."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from broker import filelocks
from tools import signals

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "broker", "coordinator", "node", "gateway", "tools")
MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog")
OF_OS = (
    *("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "WNOHANG", "statvfs", "fork", "killpg", "setsid", "getuid", "geteuid"),
    *("chown", "fchmod", "fchown", "pread", "pwrite", "mkfifo", "sched_getaffinity", "getpgid", "nice", "uname"),
)
OF_SIGNAL = (
    "SIGKILL",
    "SIGHUP",
    "SIGUSR1",
    "SIGUSR2",
    "SIGSTOP",
    "SIGCONT",
    "SIGQUIT",
    "SIGCHLD",
    "SIGPIPE",
    "SIGALRM",
)
IMPORT_ALL = f"""
import asyncio, importlib, os, pkgutil, signal, subprocess, sys
import aiohttp, anyio, aria2p, nats, psutil, rich.progress, structlog, typer  # what these need is their own affair

for name in {MODULES}:
    sys.modules[name] = None
for module, names in ((os, {OF_OS}), (signal, {OF_SIGNAL})):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
failed = []
for package in {PACKAGES}:
    for name in [package, *(one.name for one in pkgutil.walk_packages([package], package + "."))]:
        if not name.endswith("__main__"):
            try:
                importlib.import_module(name)
            except Exception as error:
                failed.append(f"{{name}}: {{error!r}}")
print("\\n".join(failed))
sys.exit(bool(failed))
"""


def test_every_module_can_be_imported_where_what_only_posix_systems_have_is_missing() -> None:
    command = [sys.executable, "-c", IMPORT_ALL]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_being_told_to_stop_is_heard_where_event_loops_know_no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "ON_WINDOWS", True)
    before, again = signal.getsignal(signal.SIGTERM), anyio.Event()
    async with signals.told_to_stop(again) as told:
        for heard in (told, again):
            signal.raise_signal(signal.SIGTERM)
            with anyio.fail_after(10):
                await heard.wait()
    assert signal.getsignal(signal.SIGTERM) is before


def test_where_no_file_can_be_locked_that_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(filelocks, "fcntl", None)
    with (tmp_path / "f").open("w") as opened, pytest.raises(OSError, match="no locks"):
        filelocks.lock(opened.fileno())


def test_windows_locks_a_byte_that_nobody_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    locked: list[tuple[int, int]] = []

    class Locks:
        LK_NBLCK = 2

        @staticmethod
        def locking(descriptor: int, mode: int, count: int) -> None:
            if locked:
                raise PermissionError(errno.EACCES, "Permission denied")
            locked.append((os.lseek(descriptor, 0, os.SEEK_CUR), count))

    monkeypatch.setattr(filelocks, "fcntl", None)
    monkeypatch.setattr(filelocks, "msvcrt", Locks)
    with (tmp_path / "f").open("w+b", buffering=0) as opened:
        filelocks.lock(opened.fileno())
        opened.write(b"12")
        with pytest.raises(BlockingIOError):
            filelocks.lock(opened.fileno())
    assert locked == [(1 << 30, 1)]
    assert (tmp_path / "f").read_bytes() == b"12"
