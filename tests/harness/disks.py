"""Real small disks for tests: a tmpfs that fills up and can be made read-only. Needs root, on Linux."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import required


class SmallDisk:
    """A file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read_only(self) -> bool:
        """Remount it; False while somebody has a file open for writing, then it stays as it was."""
        return _try("mount", "-o", "remount,ro", str(self.folder)).returncode == 0

    def writable(self) -> None:
        _run("mount", "-o", "remount,rw", str(self.folder))

    def bind(self, folder: Path) -> None:
        """Show it at `folder` too."""
        _run("mount", "--bind", str(self.folder), str(folder))

    def unbind(self, folder: Path) -> None:
        _run("umount", "--lazy", str(folder))

    def freeze(self) -> None:
        """Whoever writes from now on hangs, as on a share whose server is gone."""
        _run("fsfreeze", "--freeze", str(self.folder))

    def thaw(self) -> None:
        """Harmless where it is not frozen."""
        _try("fsfreeze", "--unfreeze", str(self.folder))

    def grow(self, size: str) -> None:
        _run("mount", "-o", f"remount,size={size}", str(self.folder))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """A tmpfs of `size` (as mount(8) takes it) at `folder`; skips the test where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = _try("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if mounted.returncode != 0:
        why = f"no tmpfs can be mounted here: {mounted.stderr.strip()}"
        (pytest.fail if required("mounts") else pytest.skip)(why)
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "--lazy", str(folder))


@contextmanager
def hanging_disk(image: Path, folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """An ext4 at `folder` that can be made to hang; skips the test where none can be had."""
    folder.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as opened:
        opened.truncate(megabytes << 20)
    for command in (("mkfs.ext4", "-q", str(image)), ("mount", "-o", "loop", str(image), str(folder))):
        if (done := _try(*command)).returncode != 0:
            why = f"no ext4 can be mounted here: {done.stderr.strip()}"
            (pytest.fail if required("mounts") else pytest.skip)(why)
    disk = SmallDisk(folder)
    try:
        yield disk
    finally:
        disk.thaw()
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    done = _try(*command)
    assert done.returncode == 0, done.stderr


def _try(*command: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
