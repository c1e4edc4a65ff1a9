"""Thousands of schedules of a whole cluster: every promise is kept, and each schedule is the same every time."""

import re

import pytest

from tests.sim.config import CONFIGS
from tests.sim.test_planted_bugs import WITHIN_S, simulated

SEEDS = 1
"""Of each config: a quarter of a minute of one core."""


@pytest.mark.timeout(WITHIN_S)
def test_every_promise_is_kept_whatever_goes_wrong() -> None:
    done = simulated("--seeds", str(SEEDS))

    assert done.returncode == 0, done.stdout + done.stderr
    count = re.search(r"^(\d+) schedules in .*, 0 broken", done.stdout, re.MULTILINE)
    assert count is not None, done.stdout
    assert int(count[1]) == SEEDS * len(CONFIGS), done.stdout


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("config", CONFIGS)
def test_every_promise_is_kept_in_many_more_schedules(config: str) -> None:
    done = simulated("--config", config, "--first", "1000", "--seeds", "100")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(WITHIN_S)
def test_one_seed_is_one_schedule_in_every_process() -> None:
    seeds = ("--config", "all", "--config", "calm", "--first", "7", "--seeds", "1")
    alone, beside = simulated(*seeds, "--jobs", "1"), simulated(*seeds, "--jobs", "2")

    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert _digest(alone.stdout) == _digest(beside.stdout)


@pytest.mark.slow
def test_another_seed_is_another_schedule() -> None:
    one, other = (
        simulated("--config", "calm", "--seeds", "1"),
        simulated("--config", "calm", "--first", "1", "--seeds", "1"),
    )

    assert _digest(one.stdout) != _digest(other.stdout)


def _digest(said: str) -> str:
    found = re.search(r"digest ([0-9a-f]{8})", said)
    assert found is not None, said
    return found[1]
