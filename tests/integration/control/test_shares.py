"""The leader hands out shares: real broker, heartbeats as a node would send them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio

from broker import keys
from broker.connection import Connection
from broker.roles import Role
from broker.standing import Found
from coordinator.shares import Shares
from coordinator.term import Term
from schemas import codec
from schemas import subjects as s
from schemas.heartbeat import ALL, Heartbeat
from schemas.nodes import NodeShare
from schemas.policy import Policy, policy_of
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import bare_term, coordinator
from tests.harness.waiting import eventually

MB = 1 << 20
LIMIT = policy_of({"bandwidth": ["10M"], "origins": {"example.org": {"bytes_per_s": "1M"}}})


def decide(term: Term, policy: Policy) -> None:
    """As if it had been read."""
    term.policies.take(Found(codec.encode(policy), term.policies.revision + 1))


Standing = Callable[[], Awaitable[NodeShare | None]]


async def standing(connection: Connection, node: str) -> NodeShare | None:
    found = await keys.read(connection, s.node_share_key(node))
    return codec.decode(found.body, NodeShare) if found else None


@asynccontextmanager
async def beating(broker: Broker, node: str, **fields: Any) -> AsyncIterator[Standing]:
    """Heartbeats of a node that keeps to its share; yields how its share is read."""
    revision, share = 0, NodeShare()
    async with (
        broker.connected(Role.NODE, node) as own,
        broker.connected(Role.COORDINATOR) as leaders,
        anyio.create_task_group() as tasks,
    ):

        async def beat() -> None:
            nonlocal revision, share
            number = 0
            while True:
                number += 1
                found = await keys.read_own(own, s.node_share_key(node))
                revision, share = (found.revision, codec.decode(found.body, NodeShare)) if found else (0, NodeShare())
                said: dict[str, Any] = {"version": "", "slots": 4, "running": 0, "waiting": 0} | fields
                said |= {"share": revision, "limit_bytes_per_s": share.bytes_per_s}
                told = Heartbeat(node=node, instance="i", beat=number, **said)
                await own.publish(s.heartbeat(node), codec.encode(told))
                await anyio.sleep(0.2)

        tasks.start_soon(beat)
        yield partial(standing, leaders, node)
        tasks.cancel_scope.cancel()


async def test_nodes_get_shares_by_need_while_a_limit_holds_and_none_afterwards(broker: Broker) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        beating(broker, "busy", running=2, held_back=(ALL,)) as busy,
        beating(broker, "idle") as idle,
    ):
        term = await leader.until_leading()
        decide(term, LIMIT)

        async def is_shared_out() -> bool:
            first, second = await busy(), await idle()
            return bool(first and second and (first.bytes_per_s or 0) > 9 * MB and (second.bytes_per_s or MB) < MB)

        await eventually(is_shared_out, within_s=30)
        share = await busy()
        assert share is not None
        assert share.epoch == term.epoch
        assert 0 < (share.of("example.org:443") or 0) < MB / 10, "nothing of it is known to be there"
        assert share.of("example.com:443") is None
        decide(term, policy_of({}))

        async def is_free() -> bool:
            return await busy() is None and await idle() is None

        await eventually(is_free, within_s=30)


async def test_a_new_leader_goes_on_with_the_shares_that_stand(broker: Broker) -> None:
    async with bare_term(broker) as term, broker.connected(Role.COORDINATOR) as connection:
        for node, part in (("gone", 6 * MB), ("other", 3 * MB)):
            stands = NodeShare(bytes_per_s=part, alone_bytes_per_s=1000, epoch=1)
            await keys.write(connection, s.node_share_key(node), codec.encode(stands), expected=0)
        decide(term, policy_of({"bandwidth": ["10M"]}))
        shares = Shares(term)
        await shares._read_all()
        await shares._round()
        for node, part in (("gone", 6 * MB), ("other", 3 * MB)):
            share = await standing(connection, node)
            assert share is not None
            assert share.bytes_per_s == part, "nobody has been heard yet"


async def test_a_share_that_another_leader_wrote_meanwhile_is_not_written_over(broker: Broker) -> None:
    async with (
        bare_term(broker) as term,
        beating(broker, "n1", running=1),
        broker.connected(Role.COORDINATOR) as other,
        anyio.create_task_group() as tasks,
    ):
        decide(term, LIMIT)
        shares = Shares(term)
        await shares._read_all()
        revision = await keys.write(other, s.node_share_key("n1"), codec.encode(NodeShare(bytes_per_s=7)), expected=0)
        limiter = anyio.CapacityLimiter(1)
        await shares._write("n1", NodeShare(bytes_per_s=5 * MB), limiter)
        found = await keys.read(other, s.node_share_key("n1"))
        assert found is not None
        assert found.revision == revision
        assert shares._unsure == {"n1"}, "it is read before anything else is decided"
        tasks.cancel_scope.cancel()


async def test_nothing_is_placed_on_a_node_that_does_not_know_its_share_while_a_limit_holds(broker: Broker) -> None:
    async with coordinator(broker, settings=STEADY) as leader:
        term = await leader.until_leading()
        await eventually(lambda: leader.coordinator.is_working)
        assert isinstance(getattr(term.desk.may_take, "__self__", None), Shares), "placing asks whoever shares out"
        shares = Shares(term)
        assert shares.may_take("n1"), "no limit holds"
        decide(term, LIMIT)
        async with beating(broker, "n1"), anyio.create_task_group() as tasks:
            await eventually(lambda: term.fleet.get("n1"))
            shares._note(shares._limits.__class__(10 * MB))
            assert not shares.may_take("n1")
            tasks.start_soon(shares.run)
            await eventually(lambda: shares.may_take("n1"), within_s=30)
            tasks.cancel_scope.cancel()
