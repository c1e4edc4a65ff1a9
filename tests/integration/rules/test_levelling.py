"""A free slot does not stay empty while a task waits in line at another node."""

from functools import partial

from broker.cluster import open_client
from broker.roles import Role
from schemas.lifecycle import Desired
from schemas.orders import NodeChange, OrderReply
from schemas.task import SLOT_FREE
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import coordinator
from tests.harness.producing import Producer, producer
from tests.harness.scripted import ScriptedNode, scripted_node
from tests.harness.waiting import eventually, stays
from tests.integration.control.steps import answering


def is_asked_back(node: ScriptedNode, task: str) -> bool:
    row = node.rows[task][1] if task in node.rows else None
    return row is not None and (row.desired, row.code) == (Desired.RELEASE, SLOT_FREE)


async def one_and_a_line(ann: Producer, one: ScriptedNode, **fields: object) -> tuple[str, str]:
    """What runs at a node of one slot, and what waits in line there."""
    running = await ann.submit(tags=["a"])
    await one.gets(running)
    waiting = await ann.submit(**fields)
    one.phases[waiting] = "waiting"
    await one.gets(waiting)
    return running, waiting


async def test_what_waits_in_line_goes_to_a_node_that_comes_later(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        scripted_node(broker, "node-1", slots=1, tags=("a",)) as one,
        coordinator(broker, settings=STEADY),
    ):
        _, waiting = await one_and_a_line(ann, one)
        async with scripted_node(broker, "node-2", slots=1) as two:
            await eventually(partial(is_asked_back, one, waiting), what="asked back")
            await one.release(one.rows[waiting][1])
            row = await two.gets(waiting, attempt=2)
            assert (row.failures, row.history, row.recalls) == (0, (), 1), "that was no fault, and is no move"


async def test_what_waits_in_line_goes_to_a_slot_that_comes_free(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        scripted_node(broker, "node-1", slots=1, tags=("a",)) as one,
        scripted_node(broker, "node-2", slots=1, tags=("b",)) as two,
        coordinator(broker, settings=STEADY),
    ):
        elsewhere = await two.gets(await ann.submit(tags=["b"]))
        _, waiting = await one_and_a_line(ann, one, avoid_tags=["x"])
        await stays(lambda: not is_asked_back(one, waiting), for_s=1.5)
        await two.complete(elsewhere)
        await eventually(partial(is_asked_back, one, waiting), what="asked back")
        await one.release(one.rows[waiting][1])
        await two.gets(waiting, attempt=2)


async def test_what_a_paused_node_holds_stays_there_whatever_is_free_elsewhere(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        scripted_node(broker, "node-1", slots=1, tags=("a",)) as one,
        coordinator(broker, settings=STEADY) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        stopped, waiting = await one_and_a_line(ann, one)
        await client.ask("configure", NodeChange(nodes=("node-1",), paused=True), OrderReply)
        one.phases[stopped] = "waiting"
        async with scripted_node(broker, "node-2", slots=2, tags=("a",)):
            await stays(lambda: not (is_asked_back(one, stopped) or is_asked_back(one, waiting)), for_s=2)


async def test_what_has_begun_or_can_go_nowhere_else_is_left_where_it_is(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        scripted_node(broker, "node-1", slots=1, tags=("a",)) as one,
        scripted_node(broker, "node-2", slots=1),
        coordinator(broker, settings=STEADY),
    ):
        running, waiting = await one_and_a_line(ann, one, tags=["a"])
        await stays(lambda: not (is_asked_back(one, running) or is_asked_back(one, waiting)), for_s=1.5)
