"""The measurements run, whatever they measure: their figures are for an idle machine, not for a test."""

import json
import subprocess
import sys
from pathlib import Path

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
    # Short runs need not grow, nor does a slot have to stand idle.
    assert all(row["value"] > 0 or row["unit"] in ("ms", "MiB", "%") for row in rows)


def test_an_unknown_bench_is_named() -> None:
    done = run("nonsense")
    assert done.returncode == 2
    assert "small_files" in done.stderr
