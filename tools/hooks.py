"""Running a command for each outcome: `events --exec`."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import TaskGroup

from schemas import codec
from schemas.errors import DowndraftError
from schemas.event import Finished
from schemas.view import ended

AT_ONCE = 4
"""Commands that run at the same time; while all are busy the log is not read further."""
GRACE_S = 5.0
"""After Ctrl-C, for those that still run."""


class NoCommand(DowndraftError):
    """What --exec names can't be run."""

    exit_code = 2


def parse_command(text: str) -> list[str]:
    """Split as a shell would, but no shell runs it. Raises NoCommand."""
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise NoCommand(f"--exec: {error} in {text!r}") from error
    if not command or shutil.which(command[0]) is None:
        raise NoCommand(f"--exec: there is no command {command[0] if command else text!r} to run")
    return command


def environment(event: Finished) -> dict[str, str]:
    """What a command is told of an outcome besides the JSON on its standard input; '' where there is nothing."""
    view = ended(event)
    told = {
        "TASK": view.task,
        "OUTCOME": str(view.state),
        "NAME": view.name,
        "NODE": view.node,
        "PATH": view.path,
        "REASON": view.reason,
        "BYTES": str(view.bytes),
        "DIGEST": view.digest,
    }
    return {f"DOWNDRAFT_{name}": value.replace("\0", "") for name, value in told.items()}


class Hooks:
    """Runs the command; open it with `hooking`."""

    def __init__(self, command: list[str], tasks: TaskGroup) -> None:
        self.failed = 0
        self._command = command
        self._tasks = tasks
        self._places = anyio.Semaphore(AT_ONCE)
        self._scopes: set[anyio.CancelScope] = set()

    def __repr__(self) -> str:
        return f"<Hooks {len(self._scopes)} running, {self.failed} failed>"

    async def start(self, event: Finished) -> None:
        """Run it for `event`, as soon as there is a place."""
        await self._places.acquire()
        self._tasks.start_soon(self._run, event)

    def hurry(self) -> None:
        """Those that still run have a little while."""
        for scope in self._scopes:
            scope.deadline = anyio.current_time() + GRACE_S

    async def _run(self, event: Finished) -> None:
        # Shielded: Ctrl-C ends the following, not what was begun for an outcome.
        with anyio.CancelScope(shield=True) as scope:
            self._scopes.add(scope)
            try:
                await self._call(event)
            except OSError as error:
                self._complain(event, str(error))
            finally:
                self._scopes.discard(scope)
                self._places.release()
        if scope.cancelled_caught:
            self._complain(event, f"ended by force, {GRACE_S:g} s after the interruption")

    async def _call(self, event: Finished) -> None:
        process = await anyio.open_process(
            self._command,
            stdin=subprocess.PIPE,
            stdout=None,
            stderr=None,
            env=os.environ | environment(event),
            start_new_session=True,  # Ctrl-C on the terminal is for us alone
        )
        try:
            assert process.stdin is not None
            with suppress(anyio.BrokenResourceError, ConnectionError):  # it may not want to know
                await process.stdin.send(codec.encode(event) + b"\n")
                await process.stdin.aclose()
            code = await process.wait()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    if hasattr(os, "killpg"):
                        os.killpg(process.pid, signal.SIGKILL)  # what it started too
                    else:
                        process.kill()
            with anyio.CancelScope(shield=True):
                await process.aclose()
        if code != 0:
            self._complain(event, f"exit code {code}" if code > 0 else f"ended by signal {-code}")

    def _complain(self, event: Finished, problem: str) -> None:
        self.failed += 1
        print(f"--exec for {event.task}: {problem}", file=sys.stderr, flush=True)  # noqa: T201 - for people


@asynccontextmanager
async def hooking(command: list[str]) -> AsyncIterator[Hooks]:
    """Hooks for the length of the block; leaving it waits for those that run, after Ctrl-C only for GRACE_S."""
    async with anyio.create_task_group() as tasks:
        hooks = Hooks(command, tasks)
        try:
            yield hooks
        except BaseException:
            hooks.hurry()
            raise
