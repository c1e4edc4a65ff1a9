"""The commands that the help and the documentation show: found, made to fit a real cluster, and run as processes."""

import os
import pty
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import typer
from anyio.abc import ByteReceiveStream, Process

from broker.binaries import find_nats_server
from tests.harness import forked
from tests.harness.processes import COMMAND, environment
from tools.cli import app

CHECKOUT = Path(__file__).parent.parent.parent
DOCS = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
SHELL_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOWS_WITHIN_S = 60
ENDS_WITHIN_S = 90


class Rule(NamedTuple):
    """How to run one example, and what must come of it."""

    says: str
    """A pattern that must be found in what it prints."""
    code: int = 0
    task: str = ""
    """The state of the task that stands for 0123456789abcdef; it has the label project=mirror."""
    until_shown: bool = False
    """It runs until interrupted: once it has shown that pattern it gets SIGINT."""
    stir: bool = False
    """Things must happen meanwhile: small files are downloaded."""
    terminal: bool = False
    """It shows itself on a terminal only."""
    alone: bool = False
    """It changes what others look at: it runs when they are done."""
    apart: bool = False
    """It begins or ends a cluster of its own, far from the shared one."""
    before: str = ""
    """A command line to run first."""
    after: str = ""
    """A command line to run last: it takes back what the example decided."""
    adds: str = ""
    """Arguments to add, so that it can run beside others."""
    swap: Mapping[str, str] = {}
    """Further words to replace."""
    slow: bool = False
    """It takes long, and what it shows another example shows as well."""


class Ran(NamedTuple):
    """What came of an example."""

    code: int
    out: str
    err: str
    shown: bool


def commands(group: Any = None, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its name as typed: `ls`, `policy show`."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def help_lines() -> Iterator[str]:
    for _, command in commands():
        for line in (command.help or "").splitlines():
            if line.strip().startswith("downdraft "):
                yield line


def docs_lines() -> Iterator[str]:
    for file in DOCS:
        for block in SHELL_BLOCK.findall(file.read_text()):
            yield from block.replace("\\\n", " ").splitlines()


def bare(line: str) -> str:
    """A line as the tables name it: no comment, nothing behind a pipe."""
    return " ".join(re.split(r"\s#\s|\s\|\s", line.strip())[0].split())


def every_example() -> list[str]:
    return sorted({bare(line) for line in [*help_lines(), *docs_lines()]} - {""})


def command_line(line: str, swap: Mapping[str, str], adds: str = "") -> list[str]:
    """What to start for a line, its placeholders replaced."""
    for placeholder, real in swap.items():
        line = line.replace(placeholder, real)
    program, *arguments = shlex.split(f"{line} {adds}")
    programs = {"downdraft": COMMAND, "nats-server": [str(find_nats_server(""))]}
    return [*programs[program], *arguments]


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of what runs in `folder`, which is its home too."""
    return environment() | {"HOME": str(folder), "COLUMNS": "160", "LINES": "40"}


async def beside(arguments: str, folder: Path) -> None:
    """Run what is no example itself: it need not start as they do."""
    words = shlex.split(arguments)
    await anyio.to_thread.run_sync(
        lambda: forked.run(words, cwd=folder, environment=surroundings(folder), timeout_s=ENDS_WITHIN_S)
    )


async def run(command: list[str], folder: Path, rule: Rule) -> Ran:
    """Run it in `folder`, which is its home too."""
    master, slave = pty.openpty() if rule.terminal else (-1, -1)
    try:
        async with await anyio.open_process(
            command,
            cwd=folder,
            env=surroundings(folder),
            stdin=subprocess.DEVNULL,
            stdout=slave if rule.terminal else subprocess.PIPE,
            start_new_session=True,
        ) as process:
            if rule.terminal:
                os.close(slave)
            try:
                return await _followed(process, master, rule)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
    finally:
        if rule.terminal:
            os.close(master)


async def _followed(process: Process, master: int, rule: Rule) -> Ran:
    """Read what it prints, interrupt it when it has shown enough, and await its end."""
    out, err = bytearray(), bytearray()
    shown = anyio.Event()

    def take(into: bytearray, data: bytes) -> None:
        into += data
        if re.search(rule.says, out.decode(errors="replace") + err.decode(errors="replace"), re.MULTILINE):
            shown.set()

    async def read(stream: ByteReceiveStream, into: bytearray) -> None:
        async for data in stream:
            take(into, data)

    async def read_terminal() -> None:
        with suppress(OSError):  # EIO: the other side is closed
            while data := await anyio.to_thread.run_sync(os.read, master, 65536, abandon_on_cancel=True):
                take(out, data)

    with anyio.fail_after(ENDS_WITHIN_S):
        async with anyio.create_task_group() as tasks:
            if process.stdout is not None:
                tasks.start_soon(read, process.stdout, out)
            else:
                tasks.start_soon(read_terminal)
            assert process.stderr is not None
            tasks.start_soon(read, process.stderr, err)
            if rule.until_shown:
                with anyio.move_on_after(SHOWS_WITHIN_S):
                    await shown.wait()
                process.send_signal(signal.SIGINT)
            code = await process.wait()
    return Ran(code, out.decode(errors="replace"), err.decode(errors="replace"), shown.is_set())
