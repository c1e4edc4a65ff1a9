"""A node follows its share; without the broker for long it keeps to less, until its share is written anew."""

import anyio
import pytest

from broker import keys
from broker.roles import Role
from node import sharekeeper
from node.governor import Governor
from node.sharekeeper import ShareKeeper
from schemas import codec
from schemas import subjects as s
from schemas.nodes import NodeShare
from tests.harness.broker import Broker
from tests.harness.waiting import eventually, stays

KEY = s.node_share_key("n1")


async def test_a_share_is_followed_and_a_node_that_was_alone_waits_for_a_new_one(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharekeeper, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(sharekeeper, "STEADY_S", 0.2)
    governor = Governor(is_ready=False)
    share = NodeShare(bytes_per_s=1000, alone_bytes_per_s=10)
    async with (
        broker.connected(Role.COORDINATOR) as leader,
        broker.connected(Role.NODE, "n1") as own,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(ShareKeeper(own, "n1", governor, alone_after_s=0.5).run)
        await eventually(lambda: governor.is_ready)
        assert governor.kept(0).limit is None
        revision = await keys.write(leader, KEY, codec.encode(share), expected=0)
        await eventually(lambda: governor.kept(0).limit == 1000)
        assert governor.kept(0).revision == revision

        await broker.kill()
        await eventually(lambda: governor.kept(0).limit == 10)
        await broker.start()
        await eventually(lambda: own.is_connected, within_s=20)
        await stays(lambda: governor.kept(0).is_alone, for_s=1.0)
        await keys.write(leader, KEY, codec.encode(share), expected=revision)
        await eventually(lambda: governor.kept(0).limit == 1000, within_s=30)
        await keys.write(leader, KEY, b"", expected=None)
        await eventually(lambda: governor.kept(0).limit is None, within_s=30)
        tasks.cancel_scope.cancel()


async def test_what_is_written_before_it_is_known_what_stood_is_not_taken_for_new(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharekeeper, "LOOK_EVERY_S", 0.1)
    governor = Governor()
    share = NodeShare(bytes_per_s=1000, alone_bytes_per_s=10)
    async with (
        broker.connected(Role.COORDINATOR) as leader,
        broker.connected(Role.NODE, "n1") as own,
        anyio.create_task_group() as tasks,
    ):
        await keys.write(leader, KEY, codec.encode(share), expected=0)
        tasks.start_soon(ShareKeeper(own, "n1", governor, alone_after_s=0.5).run)
        await eventually(lambda: governor.kept(0).limit == 1000)
        await broker.kill()
        await eventually(lambda: governor.kept(0).limit == 10)
        monkeypatch.setattr(sharekeeper, "LOOK_EVERY_S", 1000)
        await anyio.sleep(0.2)  # until the last look is over
        await broker.start()
        await eventually(lambda: own.is_connected and leader.is_connected, within_s=20)
        await keys.write(leader, KEY, codec.encode(NodeShare(bytes_per_s=2000)), expected=None)
        await stays(lambda: governor.kept(0).limit == 10, for_s=1.0)
        tasks.cancel_scope.cancel()
