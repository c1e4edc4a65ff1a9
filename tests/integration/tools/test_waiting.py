"""Waiting for many tasks: each outcome is told once, from the log, however many there are."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio

from broker.follow import FILTERS_MAX
from broker.publisher import publishing
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.event import Completed, Failed, Finished, Rejected
from schemas.ids import DEFAULT_OWNER, task_id
from schemas.lifecycle import State
from schemas.view import TaskView
from tests.harness.broker import Broker
from tools.client import Client, open_client
from tools.waiting import FAILURES_KEPT, waiting

WITHIN_S = 90


def task(number: int) -> str:
    return task_id(DEFAULT_OWNER, f"id:n{number}")


def outcome(kind: type[Finished], number: int, **fields: Any) -> Finished:
    about: dict[str, Any] = {"task": task(number), "owner": DEFAULT_OWNER, "time": datetime.now(UTC), "name": "f"}
    return kind(**about, source=f"id:n{number}", **fields)


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
            one.expect(task(number), "f", perhaps_over=False)
        await store(broker, (completed(number) for number in range(count + 500)))
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
    assert sorted(view.task for view in told) == sorted(task(number) for number in range(count))
    assert (one.total, one.done, one.bytes, one.all_completed) == (count, count, 10 * count, True)


async def test_nothing_is_asked_for_task_by_task(broker: Broker) -> None:
    async with operator(broker) as client, waiting(client, lambda _: None) as one:
        sent = client.connection.client.stats["out_msgs"]
        for number in range(1000):
            one.expect(task(number), "f", perhaps_over=False)
        await store(broker, (completed(number) for number in range(1000)))
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
        assert client.connection.client.stats["out_msgs"] - sent < 50


async def test_what_ended_before_is_found_in_the_log(broker: Broker) -> None:
    count = 2 * FILTERS_MAX + 10
    await store(broker, (completed(number) for number in range(count)))
    async with operator(broker) as client, waiting(client, lambda _: None) as one:
        for number in range(count + 1):
            one.expect(task(number), "f", perhaps_over=True)
        await store(broker, [completed(count)])
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
        assert one.all_completed


async def test_a_rejected_request_ends_the_task_that_was_hoped_for(broker: Broker) -> None:
    async with operator(broker) as client, waiting(client, lambda _: None) as one:
        one.expect(task(1), "f", perhaps_over=False)
        rejected = Rejected(
            task="00000000000000ff",
            owner=DEFAULT_OWNER,
            time=datetime.now(UTC),
            source="id:n1",
            reason="too new",
        )
        await store(broker, [rejected])
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
        assert one.outcomes == {State.REJECTED: 1}
        assert not one.all_completed


async def test_of_very_many_failures_only_some_are_kept(broker: Broker) -> None:
    count = 3 * FAILURES_KEPT
    async with operator(broker) as client, waiting(client, lambda _: None) as one:
        for number in range(count):
            one.expect(task(number), "f", perhaps_over=False)
        await store(broker, (outcome(Failed, number, reason="no") for number in range(count)))
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
        assert (one.outcomes[State.FAILED], len(one.others)) == (count, FAILURES_KEPT)


async def test_an_outcome_stored_while_the_broker_restarts_is_not_missed(broker: Broker) -> None:
    async with operator(broker) as client, waiting(client, lambda _: None) as one:
        for number in range(200):
            one.expect(task(number), "f", perhaps_over=False)
        await store(broker, (completed(number) for number in range(100)))
        await broker.restart()
        await store(broker, (completed(number) for number in range(100, 200)))
        with anyio.fail_after(WITHIN_S):
            await one.until_all_ended()
        assert one.done == 200
