"""Nodes keep to their shares of the cluster's limits: real leader, real aria2c, an origin that measures what it gives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from broker.listen import listening
from broker.roles import Role
from coordinator.term import Term
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

    def __init__(self, term: Term, submitter: Producer) -> None:
        self.term = term
        self._submitter = submitter
        self.beats: dict[str, Heartbeat] = {}

    def decide(self, **policy: Any) -> None:
        """As an operator would: `bandwidth`, `origins`."""
        self.term.desk.policy_changed(policy_of(policy))

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
    ):
        shared = Shared(await leader.until_leading(), submitter)
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


async def test_a_limit_holds_over_both_lanes_until_it_is_lifted(
    broker: Broker, tmp_path: Path, origin: MeteredOrigin
) -> None:
    async with sharing(broker, tmp_path, "n1") as shared:
        shared.decide(bandwidth=["2M"])
        await shared.until_all_keep_to_one(1)
        await shared.submit(origin.url(LARGE))
        for _ in range(4):
            await shared.submit(origin.url(8 * MB), size_bytes=8 * MB)
        await eventually(lambda: origin.bytes > 2 * MB, within_s=20)
        for i in range(3):
            rate = await origin.rate(4)
            print("both lanes", rate / MB, shared.beats["n1"].limit_bytes_per_s, shared.beats["n1"].held_back)
        shared.decide()
        await eventually(lambda: shared.beats["n1"].limit_bytes_per_s is None)
        print("free", await origin.rate(1) / MB)


async def test_small_files(broker: Broker, tmp_path: Path, origin: MeteredOrigin) -> None:
    async with sharing(broker, tmp_path, "n1") as shared:
        shared.decide(origins={"127.0.0.1": {"bytes_per_s": "1M"}})
        await shared.until_all_keep_to_one(1)
        for _ in range(400):
            await shared.submit(origin.url(40_000), size_bytes=40_000)
        for i in range(4):
            rate = await origin.rate(3)
            print("small", rate / MB, shared.beats["n1"])


async def test_large_files_of_one_origin(broker: Broker, tmp_path: Path, origin: MeteredOrigin) -> None:
    async with sharing(broker, tmp_path, "n1") as shared:
        shared.decide(origins={"127.0.0.1": {"bytes_per_s": "2M"}})
        await shared.until_all_keep_to_one(1)
        for _ in range(3):
            await shared.submit(origin.url(LARGE))
        await shared.submit(origin.url(LARGE), options={"max-download-limit": "100K"})
        for i in range(5):
            rate = await origin.rate(3)
            print("large", rate / MB, shared.beats["n1"].origins, shared.beats["n1"].held_back)


async def test_two_nodes(broker: Broker, tmp_path: Path, origin: MeteredOrigin) -> None:
    async with sharing(broker, tmp_path, "n1", "n2") as shared:
        shared.decide(bandwidth=["4M"])
        await shared.until_all_keep_to_one(2)
        await shared.submit(origin.url(LARGE), tags=["n1"])
        await shared.submit(origin.url(LARGE), tags=["n2"], options={"max-download-limit": "500K"})
        for i in range(15):
            rate = await origin.rate(2)
            print(
                "two",
                rate / MB,
                [(b.limit_bytes_per_s / MB, b.bytes_per_s / MB, b.held_back, b.running) for b in shared.beats.values()],
            )
