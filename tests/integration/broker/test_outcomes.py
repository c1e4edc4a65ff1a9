"""The latest outcomes are read from the log's end backwards, and counted without being read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from broker import outcomes, pull
from broker.connection import Connection
from broker.eventlog import EventLog
from broker.outcomes import count_since, latest_outcomes, start_of_latest
from broker.roles import Role
from schemas import subjects as s
from schemas.event import Cancelled, Failed, Finished, Queued
from schemas.lifecycle import Outcome
from tests.harness.broker import Broker


async def fill(connection: Connection, count: int, *, failed_every: int = 0) -> None:
    """Store `count` tasks' worth of log: two other events and an outcome each."""
    await fill_more(connection, 0, count, failed_every=failed_every)


async def fill_more(connection: Connection, start: int, end: int, *, failed_every: int = 0) -> None:
    log = EventLog(connection, "test")
    for number in range(start, end):
        about: dict[str, Any] = {
            "task": f"{number:016x}",
            "owner": "o",
            "time": datetime.now(UTC),
            "name": f"task {number}",
        }
        await log.report(Queued(**about))
        await log.report(Queued(**about))
        is_failed = failed_every and number % failed_every == 0
        await log.finish(Failed(**about, reason="r") if is_failed else Cancelled(**about))


async def names(connection: Connection, limit: int, **how: Any) -> list[str]:
    found = await latest_outcomes(connection, limit, **how)
    return [stored.event.name.removeprefix("task ") for stored in found.events]


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "WINDOW", 4)
    monkeypatch.setattr(outcomes, "WIDER", 2)


async def test_the_newest_come_last_and_no_more_than_asked_for(broker: Broker, small_windows: None) -> None:
    async with broker.connected(Role.COORDINATOR) as writer, broker.connected(Role.OPERATOR) as reader:
        assert await names(reader, 5) == []
        await fill(writer, 30)
        assert await names(reader, 3) == ["27", "28", "29"]
        assert await names(reader, 1000) == [str(number) for number in range(30)], "each once, across all windows"


async def test_rare_ones_are_found_far_back(broker: Broker, small_windows: None) -> None:
    async with broker.connected(Role.COORDINATOR) as writer, broker.connected(Role.OPERATOR) as reader:
        await fill(writer, 30, failed_every=14)
        assert await names(reader, 2, outcomes=(Outcome.FAILED,)) == ["14", "28"]
        assert await names(reader, 9, outcomes=(Outcome.FAILED, Outcome.REJECTED)) == ["0", "14", "28"]
        assert await names(reader, 9, outcomes=(Outcome.REJECTED,)) == []


async def test_what_does_not_match_does_not_count(broker: Broker, small_windows: None) -> None:
    def is_even(event: Finished) -> bool:
        return int(event.task, 16) % 2 == 0

    async with broker.connected(Role.COORDINATOR) as writer, broker.connected(Role.OPERATOR) as reader:
        await fill(writer, 20)
        assert await names(reader, 3, matches=is_even) == ["14", "16", "18"]


async def test_nothing_is_read_from_before_a_moment(
    broker: Broker, small_windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "CLOCKS_APART", timedelta(0))
    seen: list[str] = []

    def look(event: Finished) -> bool:
        seen.append(event.name)
        return True

    async with broker.connected(Role.COORDINATOR) as writer, broker.connected(Role.OPERATOR) as reader:
        await fill(writer, 5)
        between = datetime.now(UTC)
        log = EventLog(writer, "test")
        for number in range(5, 8):
            await log.finish(Cancelled(task=f"{number:016x}", owner="o", time=datetime.now(UTC), name=f"task {number}"))
        assert await names(reader, 100, since=between, matches=look) == ["5", "6", "7"]
        assert len(seen) == 3


async def test_it_says_where_it_stopped_looking(
    broker: Broker, small_windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "READ_MAX", 10)
    async with broker.connected(Role.COORDINATOR) as writer, broker.connected(Role.OPERATOR) as reader:
        await fill(writer, 30)
        assert not (await latest_outcomes(reader, 5, matches=lambda event: event.name == "task 0")).is_whole
        assert (await latest_outcomes(reader, 5)).is_whole


async def test_outcomes_since_a_moment_are_counted(broker: Broker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        assert await count_since(connection, Outcome.CANCELLED, datetime.now(UTC) - timedelta(minutes=10)) == 0
        await fill(connection, 4, failed_every=3)
        between = datetime.now(UTC)
        assert await count_since(connection, Outcome.FAILED, between - timedelta(minutes=10)) == 2
        assert await count_since(connection, Outcome.CANCELLED, between - timedelta(minutes=10)) == 2
        assert await count_since(connection, Outcome.CANCELLED, between) == 0


async def test_what_ends_while_the_log_is_read_makes_nothing_come_twice(broker: Broker, small_windows: None) -> None:
    async with broker.connected(Role.COORDINATOR) as writer, broker.connected(Role.OPERATOR) as reader:
        await fill(writer, 60)

        async def go_on() -> None:
            log = EventLog(writer, "test")
            for number in range(60, 10_000):
                await log.finish(
                    Cancelled(task=f"{number:016x}", owner="o", time=datetime.now(UTC), name=f"task {number}")
                )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go_on)
            for _ in range(5):
                found = [int(name) for name in await names(reader, 10_000)]
                assert found == list(range(found[-1] + 1))
            tasks.cancel_scope.cancel()


async def test_the_place_where_the_latest_begin_is_found_by_counting(broker: Broker, small_windows: None) -> None:
    async with broker.connected(Role.COORDINATOR) as writer, broker.connected(Role.GATEWAY) as reader:
        assert await start_of_latest(reader, 5) == 0
        await fill(writer, 25)
        log = EventLog(writer, "test")
        for _ in range(60):  # they need not lie evenly
            await log.report(Queued(task=f"{1:016x}", owner="o", time=datetime.now(UTC)))
        await fill_more(writer, 25, 30)
        for count in (1, 4, 5, 6, 17, 29, 30, 1000):
            start = await start_of_latest(reader, count)
            async with pull.snapshot(reader, s.EVENTS_STREAM, s.OUTCOMES_ALL, after=start) as found:
                tasks = [s.parse_event(delivery.subject).task for delivery in await found.all()]
            # All that were asked for, and no more than lie in a window.
            assert min(count, 30) <= len(tasks) <= count + 4
            assert tasks == [f"{number:016x}" for number in range(30 - len(tasks), 30)]
