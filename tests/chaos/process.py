"""One real process that a test starts, kills, freezes and thaws."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tests.harness.processes import environment
from tests.harness.waiting import eventually

ENDS_WITHIN_S = 30.0
"""A clean end takes below 10 s; a crowded machine gets more."""


class Process:
    """A command with a log of its own; the same command again at each `start`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        settings: Mapping[str, str] | None = None,
        *,
        ready: str = "",
        within: Sequence[str] = (),
    ) -> None:
        """`ready`: what its log says once it works. `within`: words before the command (`ip netns exec …`)."""
        self.name = name
        self.log_file = folder / "logs" / f"{name}.log"
        self.output_file = folder / "logs" / f"{name}.out"
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self._command = [*within, *command]
        self._folder = folder
        self._settings = {"DOWNDRAFT_LOG_FILE": str(self.log_file), **(settings or {})}
        self._ready = ready
        self._popen: subprocess.Popen[bytes] | None = None
        self._from = 0
        """Where in the log the latest start begins."""

    def __repr__(self) -> str:
        return f"<Process {self.name} {self.pid if self.is_running else 'not running'}>"

    @property
    def pid(self) -> int:
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._popen.poll() if self._popen else None

    @property
    def log(self) -> str:
        """What it logged since its latest start."""
        return self.whole_log[self._from :]

    @property
    def whole_log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def output(self) -> str:
        return self.output_file.read_text(errors="replace") if self.output_file.exists() else ""

    def children(self) -> list[psutil.Process]:
        """Of a node: its aria2c."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def start(self) -> None:
        assert not self.is_running, f"{self.name} runs already"
        self._from = len(self.whole_log)
        with self.output_file.open("ab") as output:
            self._popen = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=environment() | self._settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def until_ready(self, within_s: float = 40.0) -> None:
        """Wait for what its log says when it works; fails at once where it ended."""

        def ready() -> bool:
            assert self.is_running, f"{self.name} ended with {self.exit_code}: {self.output or self.log}"
            return self._ready in self.log

        await eventually(ready, within_s=within_s, every_s=0.05, what=f"{self.name} says {self._ready!r}")

    def kill(self, *, with_children: bool = False) -> None:
        """SIGKILL. Children: of a machine that loses its power; else aria2c ends by itself after a second or two."""
        family = self.children() if with_children else []
        self._signal(signal.SIGKILL, family)
        if self._popen is not None:
            self._popen.wait()

    def freeze(self, *, with_children: bool = False) -> None:
        """SIGSTOP, to the process first."""
        self._signal(signal.SIGSTOP, self.children() if with_children else [])

    def thaw(self, *, with_children: bool = True) -> None:
        """SIGCONT, to the children first; one that is not frozen never notices."""
        for child in self.children() if with_children else []:
            with suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGCONT)
        self._signal(signal.SIGCONT, [])

    def terminate(self) -> None:
        """SIGTERM: told to end."""
        self._signal(signal.SIGTERM, [])

    async def ended(self, within_s: float = ENDS_WITHIN_S) -> int:
        """Wait for its end; the exit code."""
        await eventually(lambda: not self.is_running, within_s=within_s, what=f"{self.name} ended")
        assert self.exit_code is not None
        return self.exit_code

    def _signal(self, number: signal.Signals, family: Sequence[psutil.Process]) -> None:
        if self._popen is not None and self.is_running:
            self._popen.send_signal(number)
        for child in family:
            with suppress(psutil.NoSuchProcess):
                child.send_signal(number)
