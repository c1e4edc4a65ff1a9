"""Cancel, pause and resume, from the coordinator's answer to what aria2 does; what becomes of partial files."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from broker.roles import Role
from node import clearing, lane, reader
from node.aria2 import Aria2, Status
from tests.harness.bad_origin import BadOrigin, Manner
from tests.harness.broker import Broker
from tests.harness.node import Rig, rig
from tests.harness.waiting import eventually
from tools.client import Client, open_client

NEVER_S = 600.0
"""Of a timer that is not to be needed."""
MANY = 24
MIB = 1 << 20


class Lanes:
    """What the aria2c of a node really do."""

    def __init__(self) -> None:
        self.clients: list[Aria2] = []

    async def states(self) -> dict[str, Status]:
        """Of each download that one of them has."""
        ticks = [await client.tick() for client in self.clients]
        return {gid: one.status for tick in ticks for gid, one in tick.transfers.items()}

    async def active(self) -> set[str]:
        return {gid for gid, status in (await self.states()).items() if status is Status.ACTIVE}

    async def run(self, tasks: Iterable[str], within_s: float = 30) -> None:
        """Wait until all of these run."""
        await eventually(lambda: self._all(set(tasks)), within_s=within_s, what="they run")

    async def stop(self, tasks: Iterable[str], within_s: float = 30) -> None:
        """Wait until none of these runs."""
        await eventually(lambda: self._none(set(tasks)), within_s=within_s, what="none of them runs")

    async def _all(self, tasks: set[str]) -> bool:
        return tasks <= await self.active()

    async def _none(self, tasks: set[str]) -> bool:
        return not tasks & await self.active()


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> Lanes:
    """Of the node that is started next."""
    found = Lanes()

    class Known(Aria2):
        def __init__(self, *args: Any, **fields: Any) -> None:
            super().__init__(*args, **fields)
            found.clients.append(self)

    monkeypatch.setattr(lane, "Aria2", Known)
    return found


@asynccontextmanager
async def steered(broker: Broker) -> AsyncIterator[Client]:
    async with open_client(broker.url, broker.creds(Role.OPERATOR)) as client:
        yield client


async def steer(client: Client, verb: str, tasks: Iterable[str]) -> float:
    """Ask, and return when it was answered, seconds of the loop's clock."""
    reply = await client.steer(verb, tuple(tasks))
    assert all(result.ok for result in reply.results), reply
    return anyio.current_time()


async def test_what_is_asked_of_running_downloads_reaches_aria2_without_waiting_for_any_timer(
    broker: Broker, tmp_path: Path, bad: BadOrigin, lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "LOOK_EVERY_S", NEVER_S)
    monkeypatch.setattr(reader, "READ_EVERY_S", (NEVER_S, NEVER_S))
    bad.manners["f"] = Manner(body=bytes(64 * MIB), bytes_per_s=32 * 1024)
    async with rig(broker, tmp_path, slots=MANY) as node, steered(broker) as client:
        tasks = [await node.submit(bad.url("f"), options={"split": "1"}, out=f"f{n}") for n in range(MANY)]
        await lanes.run(tasks, within_s=60)
        for task in tasks:
            await eventually(lambda task=task: node.staged(task).exists())
        # Nothing ends by itself from here on: no look is due for ten minutes.
        monkeypatch.setattr(lane, "TICK_S", dict.fromkeys(lane.TICK_S, NEVER_S))
        one, some = tasks[:1], tasks[1 : MANY // 2]

        took: dict[str, float] = {}
        began = await steer(client, "pause", some)
        await lanes.stop(some)
        took[f"pause {len(some)}"] = anyio.current_time() - began
        began = await steer(client, "resume", some)
        await lanes.run(some)
        took[f"resume {len(some)}"] = anyio.current_time() - began
        began = await steer(client, "cancel", one)
        await lanes.stop(one)
        took["cancel 1"] = anyio.current_time() - began
        began = await steer(client, "cancel", tasks[1:])
        await lanes.stop(tasks)
        took[f"cancel {MANY - 1}"] = anyio.current_time() - began
        for task in tasks:
            assert (await node.outcome(task)).kind == "finished.cancelled"
            await eventually(lambda task=task: not node.staged(task).exists())
        print({what: round(seconds, 3) for what, seconds in took.items()})
