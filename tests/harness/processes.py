"""`downdraft` as its users run it: processes, command lines, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec
import psutil

from broker.cluster import Refused, open_client
from broker.errors import NotConnected
from tests.harness import forked
from tests.harness.waiting import eventually

COMMAND = [sys.executable, "-P", "-m", "tools"]
"""What the `downdraft` script runs, by the interpreter of this test run."""
READY_WITHIN_S = 40


class Up:
    """A `downdraft up` in the foreground of nobody."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self.folder = folder
        self.process = process

    @property
    def up_file(self) -> Path:
        return self.folder / "downdraft-data" / "up.json"

    @property
    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.up_file.read_text())
        return found

    @property
    def url(self) -> str:
        return str(self.info["nats"]["url"])

    def creds(self, role: str) -> str:
        return str(self.info["nats"]["creds"][role])

    def pid(self, name: str) -> int:
        return int(self.info["pids"][name])

    def kill(self, name: str) -> None:
        """End one of its processes as it stands; `up` starts it again."""
        os.kill(self.pid(name), signal.SIGKILL)

    def log(self, name: str) -> str:
        file = self.folder / "downdraft-data" / "logs" / f"{name}.log"
        return file.read_text() if file.exists() else ""

    def downloads(self, node: str) -> Path:
        return self.folder / "downloads" / node

    def aria2c(self, node: str) -> list[psutil.Process]:
        """The aria2c children of a node."""
        return [child for child in psutil.Process(self.pid(node)).children() if "aria2c" in child.name()]

    def run(self, *arguments: str, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
        """A command in the folder above the cluster's data, as a user would type it."""
        return forked.run(arguments, cwd=self.folder, environment=environment(), timeout_s=timeout_s)

    async def arun(self, *arguments: str, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
        """`run` without holding up the test's own origin."""
        return await anyio.to_thread.run_sync(lambda: self.run(*arguments, timeout_s=timeout_s))

    async def show(self, task: str) -> dict[str, Any]:
        """The `task` part of what `downdraft show --json` prints; empty while there is none."""
        found: dict[str, Any] = {}
        # Between two leaders, or two brokers, nobody knows.
        with suppress(Refused, NotConnected, ExceptionGroup):
            async with open_client(self.url, self.creds("operator")) as client:
                view = (await client.show(task)).task
                found = msgspec.to_builtins(view) if view is not None else {}
        return found

    async def state(self, task: str, *states: str, within_s: float = 30) -> dict[str, Any]:
        """Wait until a task is in one of `states`; its view."""

        async def reached() -> dict[str, Any] | None:
            view = await self.show(task)
            return view if view.get("state") in states else None

        view: dict[str, Any] = await eventually(reached, within_s=within_s, what=f"{task} {states}")
        return view

    def stop(self, within_s: float = 25) -> int:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(within_s)


def environment() -> dict[str, str]:
    """This process's, without settings that point at another cluster, and without a window size that is not theirs."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DOWNDRAFT_") and name not in ("COLUMNS", "LINES")
    }


@contextmanager
def running_up(
    folder: Path, *arguments: str, allow_loopback: bool = True, gateway: bool = False, **settings: str
) -> Iterator[Up]:
    """`downdraft up` on free ports for the length of the block; without a gateway, whose start costs a second."""
    folder.mkdir(parents=True, exist_ok=True)
    http = ["--gateway-port", "0"] if gateway else ["--no-gateway"]
    allowed = ["--allow-net", "127.0.0.0/8"] if allow_loopback else []
    stale = folder / "downdraft-data" / "up.json"
    before = stale.stat().st_mtime_ns if stale.exists() else 0
    with (folder / "up.out").open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "up", "--nats-port", "0", *http, *allowed, *arguments],
            cwd=folder,
            env=environment() | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    up = Up(folder, process)
    try:
        _until_ready(up, before)
        yield up
    finally:
        if process.poll() is None:
            try:
                up.stop()
            except subprocess.TimeoutExpired:
                process.kill()


def _until_ready(up: Up, before: int) -> None:
    end = time.monotonic() + READY_WITHIN_S
    # A killed one leaves its file behind: only another one counts.
    while not up.up_file.exists() or up.up_file.stat().st_mtime_ns == before:
        assert up.process.poll() is None, (up.folder / "up.out").read_text()
        assert time.monotonic() < end, f"no up.json after {READY_WITHIN_S} s"
        time.sleep(0.05)
