"""What counts against a limit leaves a silent node only once that node can't be downloading it."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from broker.cluster import Client, open_client
from broker.roles import Role
from node.lock import NodeLock
from schemas.lifecycle import Desired
from schemas.policy import OriginPolicy, Policy
from schemas.task import FailureClass
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import bare_term, coordinator
from tests.harness.producing import Producer, producer
from tests.harness.recorder import recording
from tests.harness.scripted import ScriptedNode, scripted_node
from tests.harness.waiting import eventually, stays

LIMITED = Policy(origins={"origin.invalid": OriginPolicy(running=5)})


async def test_while_its_node_has_its_lock_a_limited_task_is_asked_back_but_not_given_away(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker, settings=STEADY) as leader,
    ):
        (await leader.until_leading()).desk.policy_changed(LIMITED)
        limited = await ann.submit()
        free = await ann.submit(uris=["http://other.invalid/f"])
        assert (await node.gets(limited)).limited
        assert not (await node.gets(free)).limited
        lock = NodeLock(node.connection, node.name, "i", lost_after_s=STEADY.node_lost_after_s)
        await lock.acquire(frozenset())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lock.keep)
            node.beating = False
            await eventually(lambda: "retrying" in seen.kinds(free), what="what no limit concerns goes elsewhere")
            await eventually(lambda: node.rows[limited][1].desired is Desired.RELEASE)
            assert "not heard" in node.rows[limited][1].reason
            await stays(lambda: "retrying" not in seen.kinds(limited), for_s=1.5)
            tasks.cancel_scope.cancel()
        await eventually(lambda: "retrying" in seen.kinds(limited), what="the lock has run out")
        row = await eventually(lambda: leader.term.book.top(limited))
        assert (row.row.attempt, row.row.failures) == (2, 0)


async def test_a_node_that_left_in_order_is_not_waited_for(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker, settings=STEADY) as leader,
    ):
        (await leader.until_leading()).desk.policy_changed(LIMITED)
        task = await ann.submit()
        await node.gets(task)
        lock = NodeLock(node.connection, node.name, "i")
        await lock.acquire(frozenset())
        node.beating = False
        await lock.release()
        await eventually(lambda: "retrying" in seen.kinds(task), within_s=5)


async def test_until_a_surplus_download_has_stopped_nothing_else_begins_at_its_origin(broker: Broker) -> None:
    """Its task was completed by the node that had it before: this one hears of that a moment later."""
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker, "node-1", tags=("a",)) as one,
        coordinator(broker, settings=STEADY) as leader,
    ):
        term = await leader.until_leading()
        term.desk.policy_changed(LIMITED)
        cooled: list[str] = []
        term.desk.let_stop = lambda origin, until: cooled.append(origin)  # type: ignore[method-assign]
        plain = await ann.submit()
        await one.complete(await one.gets(plain))
        await seen.outcome(plain)
        task = await ann.submit()
        first = await one.gets(task)
        await one.release(first)
        await one.gets(task, attempt=2)
        async with scripted_node(broker, "node-2") as two:
            assert cooled == [], "the node that reported it has stopped"
            await two.complete(first)
            await eventually(lambda: task not in term.book)
        assert cooled == ["origin.invalid:80"]


async def failed(ann: Producer, node: ScriptedNode, client: Client) -> str:
    task = await ann.submit()
    await node.fail(await node.gets(task), FailureClass.PERMANENT, code="http-404")
    return task


async def cancelled(ann: Producer, node: ScriptedNode, client: Client) -> str:
    task = await ann.submit()
    row = await node.gets(task)
    await client.steer("cancel", (task,))
    await node.release(row)
    return task


@pytest.mark.parametrize("ended", [failed, cancelled])
async def test_what_its_own_node_reported_as_over_holds_nothing_back(
    broker: Broker, ended: Callable[[Producer, ScriptedNode, Client], Awaitable[str]]
) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker, settings=STEADY) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        term = await leader.until_leading()
        term.desk.policy_changed(LIMITED)
        task = await ended(ann, node, client)
        await seen.outcome(task)
        await eventually(lambda: task not in term.book)
        assert not term.desk.planner.origins.cooling()
        await node.gets(await ann.submit())


async def test_the_lock_of_a_node_that_never_was_is_free(broker: Broker) -> None:
    from broker.lease import stands
    from schemas import subjects as s

    async with bare_term(broker) as term:
        assert not await stands(term.connection, s.node_lock_key("nobody"))
