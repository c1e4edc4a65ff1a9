"""Deciding about nodes: cordon, uncordon, drain, configure; what is decided outlives leaders and nodes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from broker import keys
from broker.cluster import Client, Refused, open_client
from broker.roles import Role
from coordinator import aside, ordering
from coordinator.term import Term
from schemas import subjects as s
from schemas.control import NodesReply, NodeStanding, NodeView, Steer
from schemas.lifecycle import Desired
from schemas.nodes import NodeWishes
from schemas.orders import NodeChange, NodeOrder, Ordered, OrderReply
from schemas.task import FailureClass
from tests.harness.broker import QUICK, STEADY, Broker
from tests.harness.leader import RunningCoordinator, coordinator
from tests.harness.producing import producer
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually, stays
from tests.integration.control.steps import answering
from tools.ordering import drain


@asynccontextmanager
async def operating(broker: Broker, leader: RunningCoordinator) -> AsyncIterator[Client]:
    """An operator, once `leader` answers."""
    async with open_client(broker.url, broker.creds(Role.OPERATOR)) as client:
        await answering(leader, client)
        yield client


async def order(client: Client, verb: str, *nodes: str, **fields: Any) -> tuple[Ordered, ...]:
    kind = NodeChange if verb == "configure" else NodeOrder
    return (await client.ask(verb, kind(nodes=nodes, **fields), OrderReply)).results


async def view_of(client: Client, node: str) -> NodeView | None:
    reply = await client.ask("nodes", Steer(), NodesReply)
    return next((view for view in reply.nodes if view.node == node), None)


async def until_standing(client: Client, node: str, standing: NodeStanding, within_s: float = 10) -> NodeView:
    async def stands() -> NodeView | None:
        view = await view_of(client, node)
        return view if view is not None and view.standing is standing else None

    return await eventually(stands, within_s=within_s, what=f"{node} {standing}")


async def test_a_cordoned_node_is_given_nothing_new_until_it_is_uncordoned(broker: Broker) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        producer(broker) as ann,
        scripted_node(broker) as node,
        operating(broker, leader) as client,
    ):
        await until_standing(client, "node-1", NodeStanding.ONLINE)
        before = await ann.submit()
        await node.gets(before)
        (done,) = await order(client, "cordon", "node-1", reason="new disks")
        assert (done.ok, done.said) == (True, "cordoned")
        view = await view_of(client, "node-1")
        assert view is not None
        assert (view.standing, view.wishes.reason, view.assigned) == (NodeStanding.CORDONED, "new disks", 1)
        after = await ann.submit()
        await eventually(lambda: after in leader.term.book)
        await stays(lambda: after not in node.rows, for_s=0.8)
        assert node.rows[before][1].desired is Desired.RUN, "what it holds goes on"
        (again,) = await order(client, "cordon", "node-1")
        assert (again.ok, again.said) == (True, "cordoned already")
        assert (await order(client, "uncordon", "node-1"))[0].ok
        await node.gets(after)
        assert await keys.read(leader.term.connection, s.node_settings_key("node-1")) is None, "nothing is decided"


@pytest.mark.parametrize("verb", ["cordon", "uncordon", "drain", "configure"])
async def test_an_owner_decides_nothing_about_nodes(broker: Broker, verb: str) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        scripted_node(broker),
        operating(broker, leader),
        open_client(broker.url, broker.creds(Role.PRODUCER, "ann")) as ann,
    ):
        with pytest.raises(Refused, match="only an operator decides about nodes, not the owner 'ann'"):
            await order(ann, verb, "node-1")
        assert not leader.term.decisions.all()


async def test_an_order_to_a_leader_of_a_moment_ago_finds_every_node_that_is_there(broker: Broker) -> None:
    slow = replace(STEADY, heartbeat_interval_s=2.0)
    async with scripted_node(broker, tags=("rack",)) as node:
        node.beating = False
        async with (
            coordinator(broker, settings=slow) as leader,
            operating(broker, leader) as client,
            anyio.create_task_group() as orders,
        ):
            assert await view_of(client, node.name) is None
            done: dict[str, tuple[Ordered, ...]] = {}

            async def give(verb: str, *nodes: str, with_tag: str | None = None) -> None:
                done[verb] = await order(client, verb, *nodes, with_tag=with_tag)

            orders.start_soon(give, "cordon", node.name)
            orders.start_soon(partial(give, "drain", with_tag="rack"))
            await anyio.sleep(0.5)  # for the orders to come before the first heartbeat
            await node.beat()
            await eventually(lambda: len(done) == 2)
            assert [[one.ok for one in results] for results in done.values()] == [[True], [True]]


async def test_a_node_that_was_never_heard_is_refused_unless_it_is_to_come(broker: Broker) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        producer(broker) as ann,
        operating(broker, leader) as client,
    ):
        (refused,) = await order(client, "cordon", "node-9")
        assert not refused.ok
        assert "no such node was heard" in refused.said
        (forced,) = await order(client, "cordon", "node-9", force=True, reason="not yet")
        assert forced.ok
        reply = await client.ask("nodes", Steer(), NodesReply)
        assert [(one.node, one.wishes.reason) for one in reply.unheard] == [("node-9", "not yet")]
        async with scripted_node(broker, "node-9") as node:
            await until_standing(client, "node-9", NodeStanding.CORDONED)
            task = await ann.submit()
            await stays(lambda: task not in node.rows, for_s=0.5)


async def test_what_is_decided_outlives_the_leader(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async with producer(broker) as ann, scripted_node(broker) as node:
        async with coordinator(broker, "first", STEADY) as first, operating(broker, first) as client:
            await until_standing(client, "node-1", NodeStanding.ONLINE)
            await order(client, "cordon", "node-1")

        async def hears_nothing(_: Term) -> None:
            await anyio.sleep_forever()

        monkeypatch.setattr(ordering, "follow", hears_nothing)  # what is read before placing must do
        async with coordinator(broker, "second", QUICK) as second, operating(broker, second) as client:
            task = await ann.submit()
            await until_standing(client, "node-1", NodeStanding.CORDONED)
            await eventually(lambda: task in second.term.book)
            await stays(lambda: task not in node.rows, for_s=0.5)
            await order(client, "uncordon", "node-1")
            await node.gets(task)


async def test_an_order_past_its_deadline_is_not_carried_out(broker: Broker) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        scripted_node(broker),
        operating(broker, leader) as client,
    ):
        await until_standing(client, "node-1", NodeStanding.ONLINE)
        (late,) = await order(client, "cordon", "node-1", deadline=datetime.now(UTC) - timedelta(days=1))
        assert not late.ok
        assert "too late" in late.said
        assert leader.term.decisions.of("node-1") == NodeWishes()


async def test_draining_takes_back_what_has_not_begun_and_with_now_what_runs(broker: Broker) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        producer(broker) as ann,
        scripted_node(broker, slots=4) as node,
        operating(broker, leader) as client,
    ):
        runs, waits, whole = [await ann.submit() for _ in range(3)]
        for task in (runs, waits, whole):
            await node.gets(task)
        node.phases |= {waits: "waiting", whole: "verifying"}
        async with scripted_node(broker, "node-2") as other:
            await until_standing(client, "node-2", NodeStanding.ONLINE)
            assert (await order(client, "drain", "node-1", reason="moves"))[0].said == "draining"
            await eventually(lambda: node.rows[waits][1].desired is Desired.RELEASE)
            await stays(lambda: node.rows[runs][1].desired is Desired.RUN, for_s=1.2, what="it runs and is finished")
            await node.release(node.rows[waits][1], Desired.RELEASE)
            assert (await other.gets(waits, attempt=2)).failures == 0
            assert (await until_standing(client, "node-1", NodeStanding.DRAINING)).assigned == 2
            await order(client, "drain", "node-1", now=True)
            await eventually(lambda: node.rows[runs][1].desired is Desired.RELEASE)
            await stays(lambda: node.rows[whole][1].desired is Desired.RUN, for_s=0.8, what="it is whole already")
            await node.release(node.rows[runs][1], Desired.RELEASE)
            await node.complete(node.rows[whole][1])
            await other.gets(runs, attempt=2)
            view = await until_standing(client, "node-1", NodeStanding.DRAINED)
            assert (view.assigned, view.wishes.reason) == (0, "moves")


async def test_a_paused_task_leaves_a_drained_node_and_stays_paused(broker: Broker) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        producer(broker) as ann,
        scripted_node(broker) as node,
        scripted_node(broker, "node-2", tags=("spare",)) as other,
        operating(broker, leader) as client,
    ):
        await until_standing(client, "node-2", NodeStanding.ONLINE)
        await order(client, "cordon", "node-2")
        task = await ann.submit()
        await node.gets(task)
        assert (await client.steer("pause", (task,))).results[0].ok
        await eventually(lambda: node.rows[task][1].desired is Desired.PAUSE)
        node.phases[task] = "paused"
        await order(client, "uncordon", "node-2")
        await order(client, "drain", "node-1")
        await eventually(lambda: node.rows[task][1].desired is Desired.RELEASE)
        shown = (await client.show(task)).task
        assert shown is not None
        assert shown.desired is Desired.PAUSE, "for people it is paused all the while"
        await node.release(node.rows[task][1], Desired.RELEASE)
        await until_standing(client, "node-1", NodeStanding.DRAINED)
        await stays(lambda: task not in other.rows, for_s=0.5, what="it is paused")
        assert (await client.steer("resume", (task,))).results[0].ok
        assert (await other.gets(task, attempt=2)).failures == 0


async def test_slots_and_tags_are_set_at_run_time_and_given_back(broker: Broker) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        producer(broker) as ann,
        scripted_node(broker, slots=1, tags=("old",)) as node,
        operating(broker, leader) as client,
    ):
        await until_standing(client, "node-1", NodeStanding.ONLINE)
        (done,) = await order(client, "configure", "node-1", slots=40, add_tags=("ssd",), remove_tags=("old",))
        assert (done.ok, done.said) == (True, "takes tasks, 40 slots, tags ssd")
        tasks = [await ann.submit(tags=["ssd"]) for _ in range(30)]
        for task in tasks:
            await node.gets(task)
        (lacks,) = await order(client, "configure", "node-1", remove_tags=("old",))
        assert (lacks.ok, lacks.said) == (False, "it does not have the tag old")
        (by_tag,) = await order(client, "configure", with_tag="ssd", own_slots=True, own_tags=True)
        assert (by_tag.node, by_tag.said) == ("node-1", "takes tasks")
        assert leader.term.decisions.of("node-1") == NodeWishes()
        with pytest.raises(Refused, match="nothing to set"):
            await order(client, "configure", "node-1")
        with pytest.raises(Refused, match="no node that was heard has the tag 'ssd'"):
            await order(client, "cordon", with_tag="ssd")


async def test_what_can_not_be_read_decides_nothing(broker: Broker) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        producer(broker) as ann,
        scripted_node(broker) as node,
        operating(broker, leader) as client,
    ):
        await order(client, "cordon", "node-1", force=True)
        await keys.write(leader.term.connection, s.node_settings_key("node-1"), b'{"cordoned": 7}', expected=None)
        await until_standing(client, "node-1", NodeStanding.ONLINE)
        await node.gets(await ann.submit())
        assert (await order(client, "cordon", "node-1"))[0].ok, "and it can be decided anew"


async def test_the_tasks_of_a_forgotten_node_go_elsewhere(broker: Broker) -> None:
    settings = replace(QUICK, lease_ttl_s=30, node_lost_after_s=1.5, forget_offline_after_s=0.2)
    async with (
        coordinator(broker, settings=settings) as leader,
        producer(broker) as ann,
        scripted_node(broker) as node,
        operating(broker, leader) as client,
    ):
        await until_standing(client, "node-1", NodeStanding.ONLINE)
        await order(client, "configure", "node-1", slots=3)
        task = await ann.submit()
        await node.gets(task)
        async with scripted_node(broker, "node-2") as other:
            # Silence that counts from when the leader began to listen would hide a node that is missed too soon.
            await eventually(lambda: anyio.current_time() - leader.term.fleet._base > settings.node_lost_after_s)
            node.beating = False
            await stays(lambda: task not in other.rows, for_s=1.0, what="it is not lost before it is found to be")
            await other.gets(task, attempt=2)
            await eventually(lambda: leader.term.fleet.get("node-1") is None)
            reply = await client.ask("nodes", Steer(), NodesReply)
            assert [view.node for view in reply.nodes] == ["node-2"]
            assert [(one.node, one.wishes.slots) for one in reply.unheard] == [("node-1", 3)], "that lasts"


async def test_a_node_that_fails_what_another_finishes_is_set_aside_and_tried_with_one_task(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "SHORTEST_S", 2.0)
    async with (
        coordinator(broker, settings=STEADY) as leader,
        producer(broker) as ann,
        scripted_node(broker, "node-2", tags=("good",)) as good,
        scripted_node(broker) as bad,
        operating(broker, leader) as client,
    ):
        await until_standing(client, "node-1", NodeStanding.ONLINE)
        await until_standing(client, "node-2", NodeStanding.ONLINE)
        await good.complete(await good.gets(await ann.submit(tags=["good"])))
        await order(client, "cordon", "node-2")
        tasks = [await ann.submit(max_attempts=1) for _ in range(aside.ATTEMPTS_MIN)]
        for task in tasks:
            await bad.fail(await bad.gets(task), FailureClass.NODE)
        view = await until_standing(client, "node-1", NodeStanding.ASIDE)
        assert view.set_aside.startswith("5 of its last 5 attempts failed where other nodes do well")
        assert 0 < view.set_aside_s <= 2.0
        async with open_client(broker.url, broker.creds(Role.PRODUCER, "bob")) as bob:
            told = await view_of(bob, "node-1")
            assert isinstance(told, NodeView)
            assert told.set_aside in ("", aside.FAILS), "whose tasks failed is not for all"
        more = [await ann.submit() for _ in range(4)]
        probe = await eventually(lambda: [task for task in more if task in bad.rows], within_s=10)
        await stays(lambda: sum(task in bad.rows for task in more) == 1, for_s=0.5, what="one task at a time")
        await bad.complete(bad.rows[probe[0]][1])
        for task in more:
            if task not in probe:
                await bad.gets(task)
        assert (await view_of(client, "node-1")).set_aside == ""  # type: ignore[union-attr]


async def test_uncordon_takes_a_node_in_that_is_set_aside(broker: Broker) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        producer(broker) as ann,
        scripted_node(broker, "node-2", tags=("good",)) as good,
        scripted_node(broker) as bad,
        operating(broker, leader) as client,
    ):
        await until_standing(client, "node-1", NodeStanding.ONLINE)
        await until_standing(client, "node-2", NodeStanding.ONLINE)
        await good.complete(await good.gets(await ann.submit(tags=["good"])))
        await order(client, "cordon", "node-2")
        for task in [await ann.submit(max_attempts=1) for _ in range(aside.ATTEMPTS_MIN)]:
            await bad.fail(await bad.gets(task), FailureClass.NODE)
        await until_standing(client, "node-1", NodeStanding.ASIDE)
        await order(client, "uncordon", "node-1")
        await until_standing(client, "node-1", NodeStanding.ONLINE)
        await bad.gets(await ann.submit())


async def test_who_waits_for_a_drained_node_is_told_where_somebody_decides_otherwise(
    broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        producer(broker) as ann,
        scripted_node(broker) as node,
        operating(broker, leader) as client,
    ):
        await until_standing(client, "node-1", NodeStanding.ONLINE)
        await node.gets(await ann.submit())
        ended: list[bool] = []

        async def drain_it() -> None:
            ended.append(await drain(client, NodeOrder(nodes=("node-1",)), wait=True, as_json=False))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drain_it)
            await until_standing(client, "node-1", NodeStanding.DRAINING)
            await stays(lambda: not ended, for_s=1.0, what="one task runs there still")
            await order(client, "uncordon", "node-1")
        assert ended == [False]
        assert "✗ node-1  is not being drained any more: somebody decided otherwise" in capsys.readouterr().out
