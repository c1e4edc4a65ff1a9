"""Mistakes planted into the real code: the simulation finds each, and names the promise it breaks."""

import os
import subprocess
import sys

import pytest

WITHIN_S = 600
JOBS = 2

NAMED = [
    ("ack_before_the_create", "calm", 5, "no_lost_task"),
    ("outcome_without_expected_sequence", "crashes", 60, "one_outcome"),
    ("ending_without_winning_the_row", "calm", 10, "won_before_ended"),
    ("highest_deleted_first", "crashes", 60, "lowest_deleted_first"),
    ("loss_timers_not_reset", "takeovers", 60, "no_needless_rescue"),
    ("reservations_forgotten", "burst", 20, "no_herding"),
    ("attempt_raised_at_placing", "calm", 20, "attempts_only_rise"),
    ("fact_acked_before_its_change", "full", 20, "everything_ends"),
    ("full_is_stored", "full", 20, "everything_ends"),
    ("outcome_not_read_at_claim", "storms", 40, "no_second_life"),
    ("ending_rows_left", "crashes", 20, "everything_ends"),
    ("lost_is_defeated", "storms", 20, "everything_ends"),
    ("own_completion_undone", "storms", 40, "completed_is_whole"),
]


def simulated(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the simulation's own command with its sets in order."""
    return subprocess.run(
        [sys.executable, "-m", "tests.sim", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
        env=os.environ | {"PYTHONHASHSEED": "0"},
    )


@pytest.mark.timeout(WITHIN_S)
@pytest.mark.parametrize(("plant", "config", "seeds", "invariant"), NAMED, ids=[named[0] for named in NAMED])
def test_the_simulation_finds_a_planted_mistake(plant: str, config: str, seeds: int, invariant: str) -> None:
    found = simulated("--plant", plant, "--config", config, "--seeds", str(seeds), "--jobs", str(JOBS))

    assert found.returncode == 1, found.stdout + found.stderr
    assert f"BROKEN {invariant}: " in found.stdout
    assert f"--plant {plant}" in found.stdout, "how to replay it is told"
