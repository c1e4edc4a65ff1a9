"""`downdraft drill` as people run it: what it prints, its exit codes, and that nothing of it stays behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.cells import cell_len

from tests.conftest import required
from tests.harness.processes import COMMAND, environment
from tests.harness.terminal import has_tmux, terminal
from tests.harness.waiting import eventually
from tools.drill.guard import leftovers

SHORT = ("--tasks", "30", "--seconds", "5", "--seed", "3")
TIMEOUT_S = 110.0
PLANTED = """
from pathlib import Path
from tools.drill import reading
whole = reading.disk
def without_one(downloads, nodes):
    next(file for file in sorted(Path(downloads).glob("node-*/*.bin"))).unlink()
    return whole(downloads, nodes)
reading.disk = without_one
from tools.cli import main
main()
"""
"""The drill, with a finished file that vanishes just before the books are read."""


def settings(folder: Path, **more: str) -> dict[str, str]:
    """The drill's temporary folders lie in `folder`."""
    return environment() | {"TMPDIR": str(folder)} | more


def drill(
    folder: Path, *arguments: str, command: list[str] = COMMAND, **more: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*command, "drill", *arguments],
        cwd=folder,
        env=settings(folder, **more),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@contextmanager
def running(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A long drill that has struck at least once."""
    process = subprocess.Popen(
        [*COMMAND, "drill", "--tasks", "400", "--seconds", "60", "--seed", "3"],
        cwd=folder,
        env=settings(folder, PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "struck" in line:
                break
        yield process
    finally:
        process.kill()
        process.wait()


def is_clean(folder: Path) -> bool:
    """Whether no process works in it, and it is empty."""
    return not leftovers(folder) and not list(folder.iterdir())


def test_a_drill_prints_one_json_object_that_says_what_happened_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = drill(tmp_path, *SHORT, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.stderr == ""
    assert (report["seed"], report["tasks"], report["seconds"]) == (3, 30, 5)
    assert report["accepted"] == sum(report["outcomes"].values()) == 30
    assert report["verified"] + report["failed_as_intended"] == 30
    assert report["lost"] == report["doubled"] == report["wrong_files"] == 0
    assert report["balanced"] is True
    assert report["problems"] == []
    assert report["faults"]
    for fault in report["faults"]:
        assert fault["kind"]
        assert fault["target"]
        assert 0 < fault["at_s"] <= 8
    assert is_clean(tmp_path)


def test_a_drill_tells_each_blow_and_each_recovery_in_lines_and_ends_with_the_verdict(tmp_path: Path) -> None:
    done = drill(tmp_path, *SHORT)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "\x1b" not in done.stdout
    assert any(" struck " in line for line in lines)
    assert any(" recovered " in line for line in lines)
    assert lines[-1].startswith("drill: of 30 tasks lost 0, doubled 0, wrong files 0")


@pytest.mark.parametrize(
    "arguments",
    [["--seconds", "4"], ["--seconds", "3601"], ["--tasks", "0"], ["--tasks", "10001"], ["--seed", "-1"], ["extra"]],
    ids=" ".join,
)
def test_what_is_out_of_bounds_is_bad_input(arguments: list[str], tmp_path: Path) -> None:
    done = drill(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert is_clean(tmp_path)


def test_a_loss_ends_it_with_1_and_everything_is_kept(tmp_path: Path) -> None:
    done = drill(tmp_path, *SHORT, command=[sys.executable, "-P", "-c", PLANTED])
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "wrong files 1" in lines[-1]
    [complaint] = [line for line in lines if line.startswith("✗")]
    assert complaint.startswith("✗ wrong file")
    assert "there is no such file" in complaint
    assert "downdraft drill --seed 3 --tasks 30 --seconds 5" in done.stdout
    [folder] = [one for one in tmp_path.iterdir() if one.is_dir()]
    assert str(folder) in done.stdout
    report = json.loads((folder / "report.json").read_text())
    [problem] = report["problems"]
    events = [json.loads(line) for line in (folder / "troubled.jsonl").read_text().splitlines()]
    assert {event["task"] for event in events} == {problem["task"]}
    assert events[-1]["type"] == "finished.completed"
    assert (folder / "downdraft-data" / "logs" / "node-1.log").exists()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(("told", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_drill_says_so_and_leaves_nothing_behind(
    told: signal.Signals, code: int, tmp_path: Path
) -> None:
    with running(tmp_path) as process:
        process.send_signal(told)
        _, err = process.communicate(timeout=40)
    assert process.returncode == code
    assert err.splitlines() == ["interrupted: the storm is over, every process has ended, the folder is deleted"]
    assert is_clean(tmp_path)


async def test_a_killed_drill_takes_all_its_processes_with_it(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) > 8
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        await eventually(lambda: is_clean(tmp_path), within_s=30, every_s=0.2, what="nothing left")


@pytest.mark.skipif(not has_tmux() and not required("tmux"), reason="there is no tmux here")
@pytest.mark.parametrize("columns", [80, pytest.param(200, marks=pytest.mark.slow)])
async def test_the_live_view_fits_its_window_and_gives_way_to_the_report(columns: int, tmp_path: Path) -> None:
    command = [*COMMAND, "drill", "--tasks", "60", "--seconds", "8", "--seed", "3"]
    shell = settings(tmp_path, TERM="xterm-256color")
    with terminal(command, columns=columns, rows=40, folder=tmp_path, environment=shell) as view:
        await view.shows("node frozen         node-", within_s=60)
        screen = view.screen()
        assert all(cell_len(line) <= columns for line in screen)
        assert any(line.startswith("storm  ") for line in screen)
        assert any(line.startswith("coordinator-2") for line in screen)
        assert len([line for line in screen if line.startswith("node-")]) == 3
        assert await view.ended(within_s=90) == 0
        screen = view.screen()
        assert not any("━" in line for line in screen)
        assert any(line.startswith("drill: of 60 tasks lost 0, doubled 0, wrong files 0") for line in screen)
