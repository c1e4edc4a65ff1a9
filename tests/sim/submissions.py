"""The requests of a schedule: with ids and without, repeats, bad ones, deadlines, priorities, delays."""

import random
from collections import deque
from datetime import datetime, timedelta

from schemas.task import FailureClass
from tests.sim.broker.clock import EPOCH_NS, NS
from tests.sim.config import Config
from tests.sim.loop import BEGINS_AT_S
from tests.sim.origins import MIB, Origin, Origins, Trouble
from tests.sim.users import Wanted, body

TROUBLES = (
    FailureClass.TRANSIENT,
    FailureClass.TRANSIENT,
    FailureClass.NODE,
    FailureClass.DAMAGED,
    FailureClass.PERMANENT,
)
WISHES: tuple[dict[str, object], ...] = (
    {},
    {},
    {"tags": ["fast"]},
    {"tags": ["zone=b"]},
    {"avoid_tags": ["fast"]},
    {"avoid_tags": ["zone=b"]},
    {"tags": ["fast"], "avoid_tags": ["zone=a"]},
)
"""Where nodes have tags. Each fits one of them at least."""
BEGIN = datetime.fromisoformat("1970-01-01T00:00:00+00:00") + timedelta(seconds=EPOCH_NS / NS + BEGINS_AT_S)


def requests(config: Config, dice: random.Random, origins: Origins) -> list[Wanted]:
    """As many as the config says."""
    return [_request(index, config, dice, origins) for index in range(config.tasks)]


def _request(index: int, config: Config, dice: random.Random, origins: Origins) -> Wanted:
    troubles: deque[Trouble] = deque()
    if dice.random() < config.trouble:
        troubles.extend(Trouble(dice.choice(TROUBLES), dice.random()) for _ in range(dice.randint(1, 4)))
    uri = f"http://origin{index % 2}.sim/file{index}"
    size = dice.choice((MIB, 64 * MIB))
    origins.add(Origin(uri=uri, bytes=size, seconds=dice.choice(config.downloads_s), troubles=troubles))
    source = f"job-{index}" if dice.random() < 0.75 else ""
    fields: dict[str, object] = {}
    kind = dice.random()
    if kind < 0.06:
        fields["out"] = "../outside"
    elif kind < 0.12:
        fields["priority"] = dice.randint(-5, 5)
    elif kind < 0.18:
        fields["deadline"] = (BEGIN + timedelta(seconds=dice.uniform(1, 20))).isoformat()
    elif kind < 0.24:
        fields["not_before"] = (BEGIN + timedelta(seconds=dice.uniform(1, 8))).isoformat()
    if config.tags:
        fields |= dice.choice(WISHES)
    times = 2 if source and dice.random() < 0.3 else 1
    return Wanted(dice.uniform(0.0, config.requests_s), body(uri, source, **fields), source, times)
