"""One process that is kept running: started again whenever it ends by itself."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import structlog
from anyio.abc import Process

log = structlog.get_logger()

STOP_WITHIN_S = 10.0
RESTART_AFTER_S = (0.5, 1.0, 2.0, 5.0)
"""Pauses before the first, second … restart of a process in a row; the last one repeats."""
STEADY_AFTER_S = 30.0
"""A process that lived this long is restarted as if for the first time."""


def pause_before(restart: int) -> float:
    """Seconds to wait before the first, second … restart in a row."""
    return RESTART_AFTER_S[min(restart, len(RESTART_AFTER_S)) - 1]


class Child:
    """One supervised process: started again whenever it ends by itself."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], output: Path) -> None:
        self.name = name
        self.process: Process | None = None
        self._command = command
        self._environment = environment
        self._output = output
        self._told = anyio.Event()

    def __repr__(self) -> str:
        return f"<Child {self.name} pid {self.pid}>"

    @property
    def pid(self) -> int:
        return self.process.pid if self.process is not None else 0

    async def run(self, started: Callable[[], None]) -> None:
        """Keep it running until `stop`."""
        failures = 0
        try:
            while not self._told.is_set():
                began = anyio.current_time()
                with self._output.open("ab") as output:
                    # A session of its own: Ctrl-C on the terminal reaches only the supervisor.
                    self.process = await anyio.open_process(
                        self._command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        env=os.environ | self._environment,
                        start_new_session=True,
                    )
                started()
                code = await self.process.wait()
                if self._told.is_set():
                    return
                failures = 1 if anyio.current_time() - began > STEADY_AFTER_S else failures + 1
                pause_s = pause_before(failures)
                log.warning("process ended, starting it again", process=self.name, code=code, in_s=pause_s)
                await anyio.sleep(pause_s)
        finally:
            with anyio.CancelScope(shield=True):
                await self.stop()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL for one that does not go."""
        self._told.set()
        if self.process is None or self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        with anyio.move_on_after(STOP_WITHIN_S):
            await self.process.wait()
        self.kill()

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
