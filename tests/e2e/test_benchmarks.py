"""The measurements run, whatever they measure: their figures are for an idle machine, not for a test."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from benchmarks.__main__ import ALONE, BENCHES
from tests.harness.processes import environment

CHECKOUT = Path(__file__).parent.parent.parent
FIELDS = {"bench", "case", "value", "unit", "peer", "peer_value", "ratio"}
QUICK = {"latency"}
REST = (BENCHES.keys() | ALONE.keys()) - QUICK


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(
        command, cwd=CHECKOUT, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "benches",
    [pytest.param(QUICK, id="quick"), pytest.param(REST, id="the rest", marks=pytest.mark.slow)],
)
def test_every_bench_prints_rows_as_json_lines(benches: set[str]) -> None:
    done = run(*sorted(benches), "--quick", "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["bench"] for row in rows} == benches
    assert all(row.keys() >= FIELDS for row in rows)
    # Short runs need not grow, nor does a slot have to stand idle, nor an answer to be late.
    assert all(row["value"] > 0 or row["unit"] in ("ms", "MiB", "%", "times") for row in rows)


def test_an_unknown_bench_is_named() -> None:
    done = run("nonsense")
    assert done.returncode == 2
    assert "small_files" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("bench", ["latency", "gateway", "recovery"])
def test_a_bench_that_is_told_to_end_leaves_nothing_behind(bench: str, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "benchmarks", bench, "--quick"]
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment(), start_new_session=True) as process:
        family = psutil.Process(process.pid)
        until(lambda: any("gateway" in one.cmdline() or "node" in one.cmdline() for one in family.children()))
        started = family.children(recursive=True)
        process.send_signal(number)
        time.sleep(0.05)
        process.send_signal(number)  # as `timeout` does: to the process, and to its group
        assert process.wait(60) != 0
    _, left = psutil.wait_procs(started, timeout=10)
    for one in left:
        one.kill()
    assert left == []


def until(reached: Callable[[], bool], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)
