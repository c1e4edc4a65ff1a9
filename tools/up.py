"""`downdraft up`: start, say how to use it, and stay until told to stop; or leave it running in the background."""

import os
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio
from rich.console import Console

from broker.roles import Role
from schemas.errors import DowndraftError
from tools.cluster import ClusterPlan, running_cluster
from tools.context import DATA_FOLDER, UP_FILE, Up, read_up
from tools.keeper import refuse_taken
from tools.signals import told_to_stop

INTERRUPTED = 130
OUTPUT = "up.out"
LOOK_EVERY_S = 0.05
TAIL_BYTES_MAX = 4096
STARTING = "starting nats-server, coordinator, nodes and gateway …"


class NoBackground(DowndraftError):
    """A process can't go on in the background here."""


async def serve(plan: ClusterPlan) -> int:
    """Run the cluster until told to stop; told twice, kill what is left of it. The exit code."""
    console = Console()
    status = console.status(STARTING)
    hurry = anyio.Event()
    with status:
        # Not by cancelling: the processes are to end in their order, nodes first.
        async with told_to_stop(hurry) as told, running_cluster(plan, told, hurry) as cluster:
            status.stop()
            if not told.is_set():
                _say(console, cluster.describe(), plan.data, "\nCtrl-C ends everything.")
            await told.wait()
            console.print("\nstopping: nodes give back what they hold … once more: kill all", style="dim")
    console.print("killed" if hurry.is_set() else "all processes ended", style="dim")
    return INTERRUPTED if hurry.is_set() else 0


class Background(NamedTuple):
    """The `up` that `detach` made."""

    process: int
    output: Path

    def ended(self) -> int | None:
        """Its exit code, None while it runs."""
        ended, status = os.waitpid(self.process, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if ended else None

    def end(self) -> None:
        """End it with its children, which it does itself, and wait for that."""
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.process, signal.SIGTERM)
            os.waitpid(self.process, 0)


def detach(data: Path) -> Background | None:
    """Go on as a process in the background, with a session and an output file of its own.

    Returns None in that process and tells this one about it. Call it before anything runs that a fork would halve.
    Raises DataTaken, NoBackground.
    """
    if not hasattr(os, "fork"):
        raise NoBackground("--detach needs a POSIX system: leave it out, and use a second terminal or a service")
    refuse_taken(data)
    logs = data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    output = os.open(logs / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
    os.close(output)
    return Background(process, logs / OUTPUT) if process else None


async def until_up(background: Background, data: Path) -> int:
    """Wait until it is ready, and say so. The exit code; on failure nothing runs."""
    console = Console()
    process = background.process
    try:
        with console.status(STARTING):
            while (up := read_up(data / UP_FILE)) is None or up.pids.get("up") != process:
                if (code := background.ended()) is not None:
                    _tell_failure(background, code)
                    return 1
                await anyio.sleep(LOOK_EVERY_S)
    except BaseException:
        background.end()  # interrupted
        raise
    _say(console, up, data, f"\nIt runs in the background (process {process}); end it with:")
    console.print(f"  {_down(data)}", style="bold", highlight=False, soft_wrap=True)
    return 0


def _tell_failure(background: Background, code: int) -> None:
    with background.output.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        opened.seek(max(0, size - TAIL_BYTES_MAX))
        said = opened.read().decode(errors="replace").strip()
    sys.stderr.write(f"{said or f'it ended with code {code} and said nothing'}\n")


def _down(data: Path) -> str:
    """The command that ends it, typed where it was started."""
    return "downdraft down" if data == Path(DATA_FOLDER) else f"downdraft down --data {shlex.quote(str(data))}"


def _say(console: Console, up: Up, data: Path, last: str) -> None:
    nodes = ", ".join(sorted(up.nats.creds.keys() - set(Role))) or "none"
    request = '{"uris":["https://example.org/file"]}'
    console.print(
        f"[green]ready[/green]  broker {up.nats.url} · nodes {nodes} · logs in {data / 'logs'}", soft_wrap=True
    )
    if up.gateway is not None:
        console.print(f"       HTTP {up.gateway.url} · API key {up.gateway.key}", soft_wrap=True, highlight=False)
    console.print("\nsubmit with this command, or with NATS itself:")
    console.print("  downdraft submit https://example.org/file --wait", style="bold", highlight=False, soft_wrap=True)
    console.print(
        f"  nats --server {up.nats.url} --creds {up.nats.creds[Role.PRODUCER]} pub downloads.requests '{request}'",
        style="bold",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    console.print(last, style="dim")
    console.file.flush()  # it may be a pipe or a file that somebody reads for this
