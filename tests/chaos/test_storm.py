"""A storm with default settings: something dies every second, and then the books balance.

It is `downdraft drill`; the seed of one that failed is printed, and with it the same storm comes again.
"""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import COMMAND, environment
from tools.drill.plan import plan

AFTER_S = 200.0
"""For starting, for what is left when the storm is over and for reading every file: on a busy machine."""


def storm(folder: Path, *, tasks: int, seconds: int) -> dict[str, Any]:
    """Its report; it fails with what did not balance."""
    seed = random.randrange(1_000_000)
    asked = ["--tasks", str(tasks), "--seconds", str(seconds), "--seed", str(seed)]
    done = subprocess.run(
        [*COMMAND, "drill", *asked, "--json"],
        cwd=folder,
        env=environment() | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=seconds + AFTER_S,
        check=False,
    )
    assert done.stdout, f"seed {seed}: {done.stderr}"
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, f"downdraft drill {' '.join(asked)}: {json.dumps(report, indent=1)}"
    return report


def check(report: dict[str, Any], tasks: int) -> None:
    assert report["accepted"] == sum(report["outcomes"].values()) == tasks, report
    assert report["lost"] == report["doubled"] == report["wrong_files"] == 0, report
    assert report["verified"] + report["failed_as_intended"] == tasks, report
    unseen = [fault["target"] for fault in report["faults"] if fault.get("recovered_s") is None]
    assert not unseen, report
    assert report["balanced"], report
    planned = plan(report["seed"], report["seconds"], [f"node-{number}" for number in (1, 2, 3)])
    assert len(report["faults"]) + report["spared"] == len(planned), report


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_a_short_storm_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    report = storm(tmp_path, tasks=200, seconds=12)
    check(report, 200)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_storm_of_two_minutes_over_2000_tasks_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    report = storm(tmp_path, tasks=2000, seconds=120)
    check(report, 2000)
    assert len(report["faults"]) + report["spared"] >= 80, report
    assert len({fault["kind"] for fault in report["faults"]}) == 7, report
