"""The fates of a schedule: what goes wrong, with whom and when, thrown before it begins."""

import random
from typing import NamedTuple

from tests.sim.config import Config

SHARE_AT_WRITES = 0.6
"""So many faults strike just after a write, where half of something is done; the others at any time."""
WRITES_MAX = 60
STEPS_MAX = 30
"""A process dies within so many callbacks of its fault."""
LEADER_SHARE = 0.5


class Fault(NamedTuple):
    kind: str
    after_s: float
    """Seconds since the beginning; negative: at a write."""
    at_write: int
    """The number of the write after which it strikes; 0: at its time."""
    victim: float
    """A number from 0 to 1 that chooses among those it may strike."""
    lasts_s: float
    steps: int


def thrown(config: Config, dice: random.Random) -> list[Fault]:
    """The faults of one schedule, in the order of their kinds."""
    rates = {
        "crash": (config.crashes, (0.1, 6.0)),
        "leave": (config.leaves, (0.1, 6.0)),
        "freeze": (config.freezes, config.freeze_s),
        "cut": (config.cuts, (0.0, 0.0)),
        "silence": (config.silences, config.silence_s),
        "cut_off": (config.cut_offs, config.cut_off_s),
        "restart": (config.restarts, config.down_s),
        "full": (config.full, config.full_s),
        "leaderless": (config.elections, (0.2, 4.0)),
        "aria2": (config.aria2, (0.0, 5.0)),
        "disk": (config.disks, (1.0, 8.0)),
        "twin": (config.twins, (1.0, 20.0)),
    }
    if config.away:  # asked for nowhere else, so that the other worlds' schedules stay what they were
        rates["away"] = (config.away, config.away_s)
    found = []
    for kind, (rate, lasts_s) in rates.items():
        for _ in range(int(rate) + (dice.random() < rate % 1)):
            at_write = dice.randint(1, WRITES_MAX) if dice.random() < SHARE_AT_WRITES else 0
            steps = dice.randint(1, STEPS_MAX)
            found.append(
                Fault(kind, dice.uniform(0.2, config.seconds), at_write, dice.random(), dice.uniform(*lasts_s), steps)
            )
    return found
