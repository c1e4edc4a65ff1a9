"""Nodes keep to their shares of the limits: real leader, real aria2c, an origin that measures what it gives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from msgspec.structs import replace

from broker import keys
from broker.connection import Connection
from broker.listen import listening
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.heartbeat import Heartbeat
from schemas.policy import policy_of
from tests.harness.broker import QUICK, Broker
from tests.harness.leader import coordinator
from tests.harness.metered import MeteredOrigin, metered
from tests.harness.node import running_node
from tests.harness.producing import Producer, producer
from tests.harness.waiting import eventually

MB = 1 << 20
LARGE = 4000 * MB
CLOCKS = replace(QUICK, node_lost_after_s=20.0, lease_ttl_s=20)


class Shared:
    """A leader whose policy can be set, nodes, and who submits to them."""

    def __init__(self, leaders: Connection, submitter: Producer) -> None:
        self._leaders = leaders
        self._submitter = submitter
        self.beats: dict[str, Heartbeat] = {}

    async def decide(self, **policy: Any) -> None:
        """Set the policy: `bandwidth`, `origins`."""
        await keys.write(self._leaders, s.POLICY_KEY, codec.encode(policy_of(policy)), expected=None)

    def hear(self, beat: Heartbeat) -> None:
        self.beats[beat.node] = beat

    async def submit(self, uri: str, **fields: Any) -> str:
        return await self._submitter.submit(uris=[uri], **fields)

    async def until_all_keep_to_one(self, nodes: int) -> None:
        await eventually(lambda: sum(beat.share > 0 for beat in self.beats.values()) >= nodes, within_s=20)


@asynccontextmanager
async def sharing(broker: Broker, folder: Path, *nodes: str, **fields: Any) -> AsyncIterator[Shared]:
    async with (
        coordinator(broker, settings=CLOCKS) as leader,
        producer(broker) as submitter,
        broker.connected(Role.VIEWER) as viewer,
        broker.connected(Role.COORDINATOR) as leaders,
    ):
        await leader.until_leading()
        shared = Shared(leaders, submitter)
        async with (
            listening(viewer, s.HEARTBEATS_ALL, lambda heard: shared.hear(codec.decode(heard.data, Heartbeat))),
            anyio.create_task_group() as tasks,
        ):
            for node in nodes:
                tasks.start_soon(_work, broker, folder / node, node, {"tags": (node,), "slots": 8} | fields)
            await eventually(lambda: len(shared.beats) == len(nodes), within_s=20)
            yield shared
            tasks.cancel_scope.cancel()


async def _work(broker: Broker, folder: Path, node: str, fields: dict[str, Any]) -> None:
    async with running_node(broker, folder, node, clocks=CLOCKS, disk_low=0, disk_high=0, **fields):
        await anyio.sleep_forever()


@pytest.fixture
async def origin() -> AsyncIterator[MeteredOrigin]:
    async with metered() as serving:
        yield serving


async def reaches(origin: MeteredOrigin, limit: int) -> None:
    """Nearly all of a limit comes, soon at least, and never much more: ten seconds at a time."""
    rates: list[float] = []
    while not rates or rates[-1] < 0.85 * limit:
        assert len(rates) < 4, rates
        rates.append(await origin.rate(10))
        assert rates[-1] < 1.15 * limit


async def test_a_limit_holds_over_both_lanes_until_it_is_lifted(
    broker: Broker, tmp_path: Path, origin: MeteredOrigin
) -> None:
    async with sharing(broker, tmp_path, "n1") as shared:
        await shared.decide(bandwidth=["2M"])
        await shared.until_all_keep_to_one(1)
        await shared.submit(origin.url(LARGE))
        for _ in range(4):
            await shared.submit(origin.url(8 * MB), size_bytes=8 * MB)
        await eventually(lambda: origin.bytes > 4 * MB, within_s=30)
        rates = [await origin.rate(4)]
        while not 0.5 * 2 * MB < rates[-1] < 1.3 * 2 * MB:  # an aria2c that had to stand still catches up for a while
            assert len(rates) < 4, rates
            rates.append(await origin.rate(4))
        assert shared.beats["n1"].limit_bytes_per_s is not None
        await shared.decide()
        await eventually(lambda: shared.beats["n1"].limit_bytes_per_s is None)

        async def is_fast() -> bool:
            return await origin.rate(1) > 10 * MB

        await eventually(is_fast, within_s=20)


@pytest.mark.slow
async def test_a_limit_that_begins_later_and_an_aria2c_that_is_replaced_change_nothing_for_long(
    broker: Broker, tmp_path: Path, origin: MeteredOrigin
) -> None:
    async with sharing(broker, tmp_path, "n1") as shared:
        await shared.submit(origin.url(LARGE))
        await eventually(lambda: origin.bytes > 100 * MB, within_s=30)
        await shared.decide(bandwidth=["2M"])
        await shared.until_all_keep_to_one(1)
        await anyio.sleep(13)  # aria2 has to forget what came before
        await reaches(origin, 2 * MB)
        (child,) = [one for one in psutil.Process().children() if "aria2-large.conf" in " ".join(one.cmdline())]
        child.kill()
        await anyio.sleep(3)
        await reaches(origin, 2 * MB)


@pytest.mark.slow
async def test_what_comes_from_one_origin_is_limited_for_small_and_for_large_files(
    broker: Broker, tmp_path: Path, origin: MeteredOrigin
) -> None:
    async with sharing(broker, tmp_path, "n1") as shared, metered() as other:
        await shared.decide(origins={f"127.0.0.1:{origin.port}": {"bytes_per_s": "1M"}})
        await shared.until_all_keep_to_one(1)
        for _ in range(300):
            await shared.submit(origin.url(40_000), size_bytes=40_000)
        await eventually(lambda: origin.bytes > 2 * MB, within_s=30)
        assert 0.8 * MB < await origin.rate(6) < 1.15 * MB
        await shared.submit(other.url(200 * MB))
        for _ in range(3):
            await shared.submit(origin.url(LARGE), priority=5)
        await eventually(lambda: shared.beats["n1"].running and other.bytes >= 200 * MB, within_s=60)
        await anyio.sleep(6)
        assert 0.7 * MB < await origin.rate(10) < 1.2 * MB


@pytest.mark.slow
async def test_two_nodes_with_uneven_need_share_nearly_all_of_a_limit_and_never_more(
    broker: Broker, tmp_path: Path, origin: MeteredOrigin
) -> None:
    async with sharing(broker, tmp_path, "n1", "n2") as shared:
        await shared.decide(bandwidth=["4M"])
        await shared.until_all_keep_to_one(2)
        await shared.submit(origin.url(LARGE), tags=["n1"])
        await shared.submit(origin.url(LARGE), tags=["n2"], options={"max-download-limit": "500K"})
        await eventually(lambda: (shared.beats["n1"].limit_bytes_per_s or 0) > 3 * MB, within_s=60)
        assert (shared.beats["n2"].limit_bytes_per_s or 0) < MB
        await anyio.sleep(5)
        assert 0.8 * 4 * MB < await origin.rate(15) < 1.15 * 4 * MB
