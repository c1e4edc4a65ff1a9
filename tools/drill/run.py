"""Runs a drill from the command line: the stage, the view, the report and the exit code."""

import shutil
from pathlib import Path

import anyio
import msgspec
from rich.console import Console

from broker.cluster import Client
from broker.errors import BrokerError
from broker.eventlog import history
from schemas import codec
from schemas.errors import DowndraftError
from schemas.sizes import format_size
from tools.drill.drill import drill
from tools.drill.report import Report
from tools.drill.stage import Stage, guarded_folder, keep, on_stage
from tools.drill.story import Story
from tools.drill.summary import print_summary
from tools.drill.view import View, is_live
from tools.drill.wares import Nature, wares
from tools.looking import print_json

SPARE_BYTES = 256 << 20
"""Room for the broker's streams, the logs, and copies that faults leave behind."""
STARTING = "starting nats-server, two coordinators, three nodes and a web server …"
TROUBLED_MAX = 50
"""Tasks whose events are kept beside the report."""


class NoRoom(DowndraftError):
    """The disk has too little space."""


async def run_drill(seed: int, tasks: int, seconds: float, *, as_json: bool) -> int:
    """The exit code: 0 only if the books balance. Raises NoRoom, ClusterFailed, ServerFailed, BinaryMissing."""
    console = Console(highlight=False, stderr=as_json)
    shows = not as_json or is_live(console)
    story = Story(seed, tasks, seconds)
    try:
        async with guarded_folder() as folder:
            _check_room(folder, seed, tasks)
            if shows:
                _introduce(console, story)
            report = await _run(console if shows else None, folder, story)
    except anyio.get_cancelled_exc_class():
        # What was asked to stop has stopped by now: the folder's guard has seen to it.
        said = "interrupted: the storm is over, every process has ended, the folder is deleted"
        Console(stderr=True, highlight=False).print(said, soft_wrap=True)
        raise
    if as_json:
        print_json(report)
    else:
        print_summary(console, report)
    return 0 if report.balanced else 1


async def _run(console: Console | None, folder: Path, story: Story) -> Report:
    hurry = anyio.Event()
    status = console.status(STARTING) if console else None
    if status:
        status.start()
    try:
        async with on_stage(folder, story.seed, hurry) as stage:
            if status:
                status.stop()
            try:
                report = await _watched(console, stage, story)
                if not report.balanced:
                    report = await _kept(stage, report)
            except BaseException:
                hurry.set()
                raise
            hurry.set()  # the books are closed: nobody needs an orderly end
            if status:
                status.update("ending all processes …")
                status.start()
    finally:
        if status:
            status.stop()
    return report


async def _watched(console: Console | None, stage: Stage, story: Story) -> Report:
    async with anyio.create_task_group() as tasks:
        if console:
            tasks.start_soon(View(console, story, stage.nodes, stage.coordinators).run)
        report = await drill(stage, story)
        tasks.cancel_scope.cancel()
    return report


async def _kept(stage: Stage, report: Report) -> Report:
    """The evidence, for whoever looks into it."""
    keep(stage.folder)
    report = msgspec.structs.replace(report, folder=str(stage.folder))
    (stage.folder / "report.json").write_bytes(codec.encode(report))
    troubled = [problem.task for problem in report.problems if problem.task][:TROUBLED_MAX]
    with (stage.folder / "troubled.jsonl").open("wb") as file:
        for task in troubled:
            for line in await _events(stage.watcher, task):
                file.write(line + b"\n")
    return report


async def _events(watcher: Client, task: str) -> list[bytes]:
    try:
        return [codec.encode(stored.event) for stored in await history(watcher.connection, task)]
    except BrokerError:
        return []


def _check_room(folder: Path, seed: int, tasks: int) -> None:
    """Raises NoRoom."""
    needed = SPARE_BYTES + sum(ware.bytes for ware in wares(seed, tasks) if ware.nature is not Nature.MISSING)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(
            f"the drill needs {format_size(needed)} of disk and {str(folder.parent)!r} has {format_size(free)} free: "
            "make room there, ask for fewer --tasks, or name another folder in TMPDIR"
        )


def _introduce(console: Console, story: Story) -> None:
    console.print(
        f"[bold]drill[/bold] {story.seed}: {story.tasks} downloads in {story.seconds:g} s, and every second something "
        "is killed or frozen. Afterwards the books must balance.",
        soft_wrap=not console.is_terminal,
    )
