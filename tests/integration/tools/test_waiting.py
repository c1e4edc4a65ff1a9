"""Waiting for many tasks: each outcome is told once, from the log, however many there are."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio

from broker.cluster import Client, Prepared, open_client
from broker.follow import FILTERS_MAX
from broker.publisher import publishing
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.event import Completed, Failed, Finished, Rejected
from schemas.ids import DEFAULT_OWNER, task_id
from schemas.lifecycle import State
from schemas.request import Request
from schemas.view import TaskView
from tests.harness.broker import Broker
from tools.waiting import FAILURES_KEPT, waiting

WITHIN_S = 90


def task(number: int) -> str:
    return task_id(DEFAULT_OWNER, f"id:n{number}")


def prepared(client: Client, number: int) -> Prepared:
    return client.prepare(Request(id=f"n{number}", uris=("http://origin.invalid/f",)))


def outcome(kind: type[Finished], number: int, **fields: Any) -> Finished:
    about: dict[str, Any] = {"task": task(number), "owner": DEFAULT_OWNER, "time": datetime.now(UTC), "name": "f"}
    return kind(**about, source=f"id:n{number}", **fields)


def rejected(one: Prepared) -> Rejected:
    about: dict[str, Any] = {"task": one.rejected_as, "owner": one.owner, "time": datetime.now(UTC)}
    return Rejected(**about, source=f"id:{one.request.id}", reason="too new")


def completed(number: int) -> Finished:
    return outcome(Completed, number, node="n1", path="f", bytes=10, digest="sha-256=00", seconds=0.1)


async def store(broker: Broker, events: Iterable[Finished]) -> None:
    """Write outcomes as quickly as the log takes them."""
    refused: list[str] = []
    async with (
        broker.connected(Role.COORDINATOR) as connection,
        publishing(connection, stored=_ignore, refused=lambda key, _error: refused.append(key)) as many,
    ):
        for event in events:
            await many.put(event.task, s.event_write(event.task, event.kind, "co"), codec.encode(event))
        await many.settle()
    assert refused == []


def _ignore(_key: str) -> None:
    pass


@asynccontextmanager
async def operator(broker: Broker) -> AsyncIterator[Client]:
    async with open_client(broker.url, broker.creds(Role.OPERATOR)) as client:
        yield client


async def test_every_outcome_is_told_once_and_summed_up(broker: Broker) -> None:
    count = 3000
    told: list[TaskView] = []
    async with operator(broker) as client, waiting(client, told.append) as one:
        for number in range(count):
            one.expect(prepared(client, number), perhaps_over=False)
        await store(broker, (completed(number) for number in range(count + 500)))
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
    assert sorted(view.task for view in told) == sorted(task(number) for number in range(count))
    assert (one.total, one.done, one.bytes, one.all_completed) == (count, count, 10 * count, True)


async def test_nothing_is_asked_for_task_by_task(broker: Broker) -> None:
    async with operator(broker) as client, waiting(client, lambda _: None) as one:
        sent = client.connection.client.stats["out_msgs"]
        for number in range(1000):
            one.expect(prepared(client, number), perhaps_over=False)
        await store(broker, (completed(number) for number in range(1000)))
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
        assert client.connection.client.stats["out_msgs"] - sent < 50


async def test_what_ended_before_is_found_in_the_log(broker: Broker) -> None:
    count = 2 * FILTERS_MAX + 10
    await store(broker, (completed(number) for number in range(count)))
    async with operator(broker) as client, waiting(client, lambda _: None) as one:
        for number in range(count + 1):
            one.expect(prepared(client, number), perhaps_over=True)
        await store(broker, [completed(count)])
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
        assert one.all_completed


async def test_a_rejected_request_ends_the_task_that_was_hoped_for(broker: Broker) -> None:
    async with operator(broker) as client, waiting(client, lambda _: None) as one:
        ours = prepared(client, 1)
        one.expect(ours, perhaps_over=False)
        await store(broker, [rejected(ours)])
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
        assert one.outcomes == {State.REJECTED: 1}
        assert not one.all_completed


async def test_the_only_task_that_is_waited_for_ends_rejected_too(broker: Broker) -> None:
    async with operator(broker) as client:
        ours = prepared(client, 1)
        async with waiting(client, lambda _: None, only=ours) as one:
            one.expect(ours, perhaps_over=False)
            await store(broker, [rejected(ours)])
            with anyio.fail_after(WITHIN_S):
                await one.until_all_ended()
            assert one.outcomes == {State.REJECTED: 1}


async def test_a_request_that_was_rejected_before_is_found_in_the_log(broker: Broker) -> None:
    async with operator(broker) as client:
        ours = prepared(client, 1)
        await store(broker, [rejected(ours)])
        async with waiting(client, lambda _: None) as one:
            one.expect(ours, perhaps_over=True)
            with anyio.fail_after(WITHIN_S):
                await one.until_all_ended()
            assert one.outcomes == {State.REJECTED: 1}


async def test_the_rejection_of_another_request_with_the_same_id_ends_nothing(broker: Broker) -> None:
    async with operator(broker) as client, waiting(client, lambda _: None) as one:
        ours = prepared(client, 1)
        other = client.prepare(Request(id="n1", uris=("http://origin.invalid/other",)))
        one.expect(ours, perhaps_over=False)
        await store(broker, [rejected(other), completed(1)])
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
        assert one.all_completed


async def test_of_very_many_failures_only_some_are_kept(broker: Broker) -> None:
    count = 3 * FAILURES_KEPT
    async with operator(broker) as client, waiting(client, lambda _: None) as one:
        for number in range(count):
            one.expect(prepared(client, number), perhaps_over=False)
        await store(broker, (outcome(Failed, number, reason="no") for number in range(count)))
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
        assert (one.outcomes[State.FAILED], len(one.others)) == (count, FAILURES_KEPT)


async def test_an_outcome_stored_while_the_broker_restarts_is_not_missed(broker: Broker) -> None:
    async with operator(broker) as client, waiting(client, lambda _: None) as one:
        for number in range(200):
            one.expect(prepared(client, number), perhaps_over=False)
        await store(broker, (completed(number) for number in range(100)))
        await broker.restart()
        await store(broker, (completed(number) for number in range(100, 200)))
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
        assert one.done == 200
