"""Listing live tasks: pages that fit together while tasks come and go, and filters that hold."""

from typing import Any

import pytest

from broker.cluster import Client, open_client
from broker.roles import Role
from coordinator import listing
from schemas.control import ListQuery, ListReply
from schemas.filter import TaskFilter, filter_of
from schemas.view import TaskView
from tests.harness.broker import Broker
from tests.harness.leader import coordinator
from tests.harness.producing import producer
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually
from tests.integration.control.steps import answering
from tools.finding import live_tasks


async def a_page(client: Client, after: str = "", limit: int = 3, where: TaskFilter | None = None) -> ListReply:
    return await client.ask("list", ListQuery(where=where or TaskFilter(), after=after, limit=limit), ListReply)


async def all_of(client: Client, page: int = 500, **conditions: Any) -> list[TaskView]:
    return [view async for view in live_tasks(client, filter_of(**conditions), page)]


@pytest.mark.parametrize("snapshot_for_s", [60.0, 0.0], ids=["from one snapshot", "from new ones"])
async def test_whoever_stays_is_listed_once_while_others_come_and_go(
    broker: Broker, snapshot_for_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SNAPSHOT_FOR_S", snapshot_for_s)
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        stay = [await ann.submit(tags=["nobody"], labels={"stays": "yes"}) for _ in range(20)]
        go = [await ann.submit(tags=["nobody"]) for _ in range(10)]
        await eventually(lambda: len(leader.term.book) == 30)
        listed: list[str] = []
        reply = await a_page(client)
        while True:
            listed += [view.task for view in reply.tasks]
            if not reply.more:
                break
            await ann.submit(tags=["nobody"])
            if go:
                assert (await client.steer("cancel", (go.pop(),))).results[0].ok
            reply = await a_page(client, reply.after)
        assert len(listed) == len(set(listed))
        assert [task for task in listed if task in stay] == stay, "in order of age"


async def test_a_listing_goes_on_under_a_new_leader(broker: Broker) -> None:
    async with producer(broker) as ann, open_client(broker.url, broker.creds(Role.OPERATOR)) as client:
        async with coordinator(broker, "first") as first:
            await answering(first, client)
            tasks = [await ann.submit(tags=["nobody"]) for _ in range(8)]
            await eventually(lambda: len(first.term.book) == 8)
            reply = await a_page(client, limit=5)
        async with coordinator(broker, "second") as second:
            await answering(second, client)
            answer = await a_page(client, reply.after, limit=5)
            assert [view.task for view in (*reply.tasks, *answer.tasks)] == tasks
            assert not answer.more


async def test_where_few_match_pages_may_be_empty_and_yet_go_on(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SCAN_MAX", 4)
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        for _ in range(11):
            await ann.submit(tags=["nobody"])
        wanted = await ann.submit(tags=["nobody"], labels={"rare": "yes"})
        await eventually(lambda: len(leader.term.book) == 12)
        first = await a_page(client, where=filter_of(labels=["rare"]))
        assert (first.tasks, first.more) == ((), True)
        assert [view.task for view in await all_of(client, labels=["rare"])] == [wanted]


async def test_a_page_of_long_addresses_stays_below_what_the_broker_takes(broker: Broker) -> None:
    uris = [f"https://h{number}.invalid/{'x' * 8000}" for number in range(50)]
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        tasks = [await ann.submit(uris=uris, tags=["nobody"]) for _ in range(5)]
        await eventually(lambda: len(leader.term.book) == 5)
        assert len((await a_page(client, limit=500)).tasks) < 5
        assert [view.task for view in await all_of(client)] == tasks


async def test_filters_look_at_the_row_and_at_what_its_node_said(broker: Broker) -> None:
    async with (
        producer(broker, "team-a") as ann,
        producer(broker, "team-b") as bob,
        scripted_node(broker, tags=("eu",)) as node,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        running = await ann.submit(tags=["eu"], uris=["http://u:p@files.example.invalid/a.iso"])
        waiting = await bob.submit(tags=["us"], labels={"project": "mirror"}, name="Nightly")
        await node.gets(running)
        await eventually(lambda: len(leader.term.book) == 2)

        async def found(**conditions: Any) -> set[str]:
            return {view.task for view in await all_of(client, **conditions)}

        async def is_active() -> bool:
            return await found(states=["active"]) == {running}

        await eventually(is_active)
        assert await found(states=["queued"]) == {waiting}
        assert await found(nodes=["node-1"]) == {running}
        assert await found(owners=["team-b"]) == {waiting}
        assert await found(tags=["eu"]) == {running}
        assert await found(labels=["project=mirror"]) == {waiting}
        assert await found(origins=["*.example.invalid"]) == {running}
        assert await found(text="NIGHT") == {waiting}
        assert await found(text="u:p@") == set(), "secrets are no way to find a task"
        assert await found() == {running, waiting}


async def test_an_owner_lists_only_their_own(broker: Broker) -> None:
    async with (
        producer(broker, "team-a") as ann,
        producer(broker, "team-b") as bob,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.PRODUCER, "team-a")) as client,
    ):
        await answering(leader, client)
        hers = await ann.submit(tags=["nobody"])
        await bob.submit(tags=["nobody"])
        await eventually(lambda: len(leader.term.book) == 2)
        assert [view.task for view in await all_of(client)] == [hers]
        assert not await all_of(client, owners=["team-b"])
