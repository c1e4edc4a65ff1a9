"""How long the command line takes to start: medians of many runs, beside what Python itself and its libraries take.

`python benchmarks/startup.py [--json] [--runs N]`. It starts a cluster of its own for the command that asks one.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

RUNS = 15
DOWNDRAFT = [sys.executable, "-P", "-m", "tools"]
PASS = [sys.executable, "-c", "pass"]
LIBRARIES = [sys.executable, "-c", "import typer, rich"]
CASES = {
    "--version": ["--version"],
    "--help": ["--help"],
    "submit --help": ["submit", "--help"],
    "ls --json": ["ls", "--json"],
}
FIELDS = ("bench", "case", "value", "unit", "peer", "peer_value", "ratio")


class Taken(NamedTuple):
    """Of one command, medians in milliseconds."""

    wall_ms: float
    cpu_ms: float
    """User and system time: steadier than the wall's on a busy machine."""


def measure(command: list[str], folder: Path, runs: int) -> Taken:
    """Run `command` one warm-up and `runs` times. Raises CalledProcessError where it fails."""
    walls, cpus = [], []
    for run in range(runs + 1):
        before, began_at = _cpu_s(), time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        if run:
            walls.append(time.perf_counter() - began_at)
            cpus.append(_cpu_s() - before)
    return Taken(statistics.median(walls) * 1000, statistics.median(cpus) * 1000)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(runs: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="downdraft-startup-") as name:
        folder = Path(name)
        quiet: dict[str, Any] = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL}
        subprocess.run([*DOWNDRAFT, "up", "--detach", "--nats-port", "0", "--nodes", "1"], **quiet)
        try:
            peers = {"python -c pass": PASS, "python -c 'import typer, rich'": LIBRARIES}
            peer_times = {peer: measure(command, folder, runs) for peer, command in peers.items()}
            times = {case: measure([*DOWNDRAFT, *arguments], folder, runs) for case, arguments in CASES.items()}
        finally:
            subprocess.run([*DOWNDRAFT, "down"], **quiet)
    kinds: dict[str, Callable[[Taken], float]] = {"wall": lambda t: t.wall_ms, "cpu": lambda t: t.cpu_ms}
    return [
        _row(f"{case}, {kind}", of(taken), peer, of(peer_taken))
        for case, taken in times.items()
        for kind, of in kinds.items()
        for peer, peer_taken in peer_times.items()
    ]


def _row(case: str, value: float, peer: str, peer_value: float) -> dict[str, Any]:
    numbers = (round(value, 1), "ms", peer, round(peer_value, 1), round(value / peer_value, 2))
    return dict(zip(FIELDS, ("startup", case, *numbers), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each command")
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    with tempfile.TemporaryDirectory(prefix="downdraft-bytecode-") as bytecode:
        # As an installed program has it: compiled once, by the warm-up, and not at each start.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = bytecode
        found = rows(given.runs)
    if given.json:
        for row in found:
            sys.stdout.write(json.dumps(row) + "\n")
        return
    table = [FIELDS, *(tuple(str(row[field]) for field in FIELDS) for row in found)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


if __name__ == "__main__":
    main()
