"""How often a node asks its aria2: seldom while long downloads run, at once where something waits for a slot."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from node import lane as module
from node.aria2 import Aria2, Turn
from tests.harness.bad_origin import BadOrigin, Manner
from tests.harness.broker import Broker
from tests.harness.node import Rig, rig
from tests.harness.waiting import eventually

pytestmark = pytest.mark.anyio

BODY = random.Random(1).randbytes(12 << 20)
SELDOM_S = 0.8


class Looks:
    """When aria2 was asked, the one of the large lane."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at: list[float] = []
        turn = Aria2.turn

        async def watched(aria2: Aria2, **what: Any) -> Turn:
            answer = await turn(aria2, **what)
            if answer.tick.transfers:
                self.at.append(anyio.current_time())
            return answer

        monkeypatch.setattr(Aria2, "turn", watched)

    def gaps(self) -> list[float]:
        return [after - before for before, after in zip(self.at, self.at[1:], strict=False)]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    monkeypatch.setattr(module, "SETTLED_S", 0.2)
    return Looks(monkeypatch)


@pytest.fixture
async def narrow(broker: Broker, tmp_path: Path, looks: Looks) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path, slots=1) as running:
        yield running


async def test_a_long_download_is_looked_at_seldom_until_something_waits_for_its_slot(
    narrow: Rig, bad: BadOrigin, looks: Looks
) -> None:
    bad.manners["long"] = Manner(body=BODY, etag='"1"', bytes_per_s=200_000)
    bad.manners["next"] = Manner(body=BODY[:1000], etag='"1"')
    options = {"split": 1}
    await narrow.submit(bad.url("long"), options=options)
    await eventually(lambda: min([0.0, *looks.gaps()][-2:]) > SELDOM_S, what="two looks far apart")
    known = len(looks.at)
    await narrow.submit(bad.url("next"), options=options)
    await eventually(lambda: len(looks.gaps()) > known + 3, what="more looks")
    assert min(looks.gaps()[known:]) < SELDOM_S / 2
