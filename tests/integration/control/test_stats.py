"""The cluster at a glance, whoever leads."""

import pytest

from broker.cluster import Client, open_client
from broker.roles import Role
from coordinator import counting
from schemas.control import StatsReply, Steer
from schemas.task import FailureClass
from tests.harness.broker import Broker
from tests.harness.leader import coordinator
from tests.harness.producing import Producer, producer
from tests.harness.recorder import Recorder, recording
from tests.harness.scripted import ScriptedNode, scripted_node
from tests.harness.waiting import eventually
from tests.integration.control.steps import answering


async def stats(client: Client) -> StatsReply:
    return await client.ask("stats", Steer(), StatsReply)


async def end_one_each(ann: Producer, node: ScriptedNode, client: Client, seen: Recorder) -> None:
    """A task completed, one failed, one cancelled, one rejected."""
    done, broken, unwanted = await ann.submit(), await ann.submit(), await ann.submit(tags=["nobody"])
    await ann.publish(b'{"uris": []}')
    await node.complete(await node.gets(done))
    await node.fail(await node.gets(broken), FailureClass.PERMANENT)

    async def is_cancelled() -> bool:
        return (await client.steer("cancel", (unwanted,))).results[0].ok

    await eventually(is_cancelled)
    await eventually(lambda: len(seen.outcomes()) % 4 == 0)


async def test_recent_outcomes_are_counted_across_a_change_of_leader(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        async with coordinator(broker, "first") as first:
            await answering(first, client)
            await end_one_each(ann, node, client, seen)
        async with coordinator(broker, "second") as second:
            await answering(second, client)
            await end_one_each(ann, node, client, seen)

            async def counted() -> bool:
                return (await stats(client)).recent == {"completed": 2, "failed": 2, "cancelled": 2, "rejected": 2}

            await eventually(counted, within_s=20)
            now = await stats(client)
            assert now.leader == "second"
            assert now.recent_s == 600
            assert now.outcomes["failed"] <= 1, "what this leader saw is not what happened"


async def test_what_ended_before_the_window_is_not_counted(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "RECENT_S", 1)
    monkeypatch.setattr(counting, "KEEP_S", 0.0)
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        recording(broker) as seen,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        await ann.publish(b'{"uris": []}')
        await eventually(lambda: seen.outcomes())
        assert (await stats(client)).recent["rejected"] == 1

        async def is_past() -> bool:
            return (await stats(client)).recent["rejected"] == 0

        await eventually(is_past)


async def test_live_tasks_are_counted_by_state_and_the_oldest_queued_is_timed(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "KEEP_S", 0.0)
    async with (
        producer(broker) as ann,
        scripted_node(broker, slots=1) as node,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        empty = await stats(client)
        assert empty.states == {"queued": 0, "assigned": 0, "active": 0, "ending": 0}
        assert (empty.oldest_queued_s, empty.paused, empty.inbox) == (None, 0, 0)
        running = await ann.submit()
        await node.gets(running)
        waits = [await ann.submit(tags=["nobody"]) for _ in range(2)]
        await eventually(lambda: len(leader.term.book) == 3)
        await client.steer("pause", (waits[0],))

        async def seen() -> bool:
            now = await stats(client)
            return now.states == {"queued": 2, "assigned": 0, "active": 1, "ending": 0} and now.nodes_online == 1

        await eventually(seen)
        now = await stats(client)
        assert (now.paused, now.slots, now.nodes) == (1, 1, 1)
        oldest_s = now.oldest_queued_s
        assert oldest_s is not None

        async def is_older() -> bool:
            return ((await stats(client)).oldest_queued_s or 0.0) > oldest_s

        await eventually(is_older)


async def test_an_answer_serves_everyone_for_a_second(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        term = leader.term
        first = await stats(client)
        task = await ann.submit(tags=["nobody"])
        await eventually(lambda: task in term.book)

        async def counted() -> bool:
            return (await stats(client)).states["queued"] == 1

        await eventually(counted)
        assert first.states["queued"] == 0
