"""`python -m benchmarks`: measure, and say whether the floors hold."""

import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer

from benchmarks import (
    durability,
    fleet,
    gateway,
    large_file,
    latency,
    node,
    noop,
    page,
    placing,
    progress,
    recovery,
    serving,
    small_files,
    startup,
    submissions,
    takeover,
)
from benchmarks.cluster import Bench, bench_cluster
from benchmarks.rows import Row, print_rows
from schemas.settings import LogSettings
from tools.logs import configure
from tools.signals import SIGNALS

Measure = Callable[[Bench, int, bool], Awaitable[list[Row]]]

ROUNDS = 3
SIGNALLED = 128
"""An exit code is this and the signal's number, as shells have it."""
BENCHES: dict[str, Measure] = {
    "small_files": lambda bench, rounds, quick: small_files.measure(bench, rounds=rounds, files=200 if quick else 2000),
    "large_file": lambda bench, rounds, quick: large_file.measure(
        bench, rounds=rounds, mebibytes=64 if quick else 1024
    ),
    "latency": lambda bench, rounds, quick: latency.measure(bench, rounds=rounds, tasks=10 if quick else 100),
    "startup": lambda bench, rounds, quick: startup.measure(bench, rounds=rounds, runs=3 if quick else 15),
    "noop": lambda bench, rounds, quick: noop.measure(bench, rounds=rounds, tasks=500 if quick else 5000),
    "recovery": lambda bench, rounds, quick: recovery.measure(bench, rounds=rounds, quick=quick),
    "durability": lambda bench, rounds, quick: durability.measure(bench, rounds=rounds, tasks=200 if quick else 5000),
}
ALONE: dict[str, Callable[[Path, bool, int | None], Awaitable[list[Row]]]] = {
    "placing": lambda _folder, quick, _tasks: placing.measure(rounds=1 if quick else 3, quick=quick),
    "takeover": lambda folder, quick, tasks: takeover.measure(
        folder, tasks=tasks or (takeover.QUICK_TASKS if quick else takeover.TASKS)
    ),
    "fleet": lambda folder, quick, tasks: (
        fleet.measure(folder, nodes=fleet.QUICK_NODES, tasks=fleet.QUICK_TASKS, phase_s=fleet.QUICK_PHASE_S)
        if quick
        else fleet.measure(folder, nodes=fleet.NODES, tasks=tasks or fleet.TASKS, phase_s=fleet.PHASE_S)
    ),
    "progress": lambda folder, quick, _tasks: (
        progress.measure(folder, transfers=progress.QUICK_TRANSFERS, phase_s=progress.QUICK_PHASE_S)
        if quick
        else progress.measure(folder, transfers=progress.TRANSFERS, phase_s=progress.PHASE_S)
    ),
    "node": lambda folder, quick, _tasks: node.measure(folder, quick=quick),
    "submissions": lambda folder, quick, _tasks: (
        submissions.measure(folder, rounds=1, singles=200, batched=2000) if quick else submissions.measure(folder)
    ),
    "gateway": lambda folder, quick, tasks: gateway.measure(
        folder, tasks=tasks or (gateway.QUICK_TASKS if quick else gateway.TASKS)
    ),
    "page": lambda folder, quick, _tasks: page.measure(folder, quick=quick),
    "serving": lambda folder, quick, _tasks: (
        serving.measure(folder, readers=20, seconds=2.0, mebibytes=32) if quick else serving.measure(folder)
    ),
}
"""These need no cluster, or make one to their measure: they get a folder, and how many tasks were asked for."""


def main(
    only: Annotated[
        list[str] | None, typer.Argument(metavar="[BENCH]…", help=f"Of {', '.join((*BENCHES, *ALONE))}.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="How often each is measured; the median counts. Default: 3, recovery 10.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Small numbers: to see that it runs, not how fast.")] = False,
    tasks: Annotated[
        int | None,
        typer.Option(
            min=1, help="takeover: how many wait; gateway: have ended; fleet: go through. Default: 10⁶, fleet 10⁴."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a row.")] = False,
) -> None:
    """Measure the cluster beside its peers on this machine. Exits 1 where a floor does not hold.

    Examples:

        python -m benchmarks

        python -m benchmarks small_files --rounds 5 --json

        python -m benchmarks takeover --tasks 100000
    """
    if unknown := set(only or ()) - {*BENCHES, *ALONE}:
        raise typer.BadParameter(f"no bench {', '.join(sorted(unknown))}; there are {', '.join((*BENCHES, *ALONE))}")
    configure(LogSettings(level="error"))
    rows: list[Row] = []

    def found(some: list[Row]) -> None:
        rows.extend(some)
        if as_json:  # at once: half an hour may break off
            print_rows(some, as_json=True)

    anyio.run(_unless_told, partial(_measure, only or [*BENCHES, *ALONE], rounds, quick, tasks, found))
    if not as_json:
        print_rows(rows, as_json=False)
    if not quick and any(row.holds is False for row in rows):
        raise typer.Exit(1)


async def _unless_told(measure: Callable[[], Awaitable[None]]) -> None:
    """Measure; told to end, it first ends what it started, however often it is told: `timeout` does so twice."""
    told: list[int] = []
    async with anyio.create_task_group() as group:
        measuring = anyio.CancelScope()

        async def listen() -> None:
            with anyio.open_signal_receiver(*SIGNALS) as received:
                async for number in received:
                    told.append(number)
                    measuring.cancel()

        group.start_soon(listen)
        with measuring:
            await measure()
        group.cancel_scope.cancel()
    if told:
        raise typer.Exit(SIGNALLED + told[0])


async def _measure(
    names: list[str], rounds: int | None, quick: bool, tasks: int | None, found: Callable[[list[Row]], None]
) -> None:
    for name in names:
        if name in ALONE:
            sys.stderr.write(f"{name} …\n")
            with tempfile.TemporaryDirectory(prefix="downdraft-bench-") as folder:
                found(await ALONE[name](Path(folder), quick, tasks))
            continue
        # A cluster of its own for each, so that none inherits another's log and caches.
        with tempfile.TemporaryDirectory(prefix="downdraft-bench-") as folder:
            async with bench_cluster(Path(folder)) as bench:
                sys.stderr.write(f"{name} …\n")
                times = rounds or (recovery.ROUNDS if name == "recovery" else ROUNDS)
                found(await BENCHES[name](bench, times, quick))


if __name__ == "__main__":
    typer.run(main)
