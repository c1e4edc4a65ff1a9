"""Following the log: nothing missed and nothing twice, whatever becomes of the broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
import pytest

from broker import consumers, follow, pull
from broker.errors import Unanswered
from broker.eventlog import EventLog
from broker.follow import NOW, OUTCOMES, Follower, following
from broker.roles import Role
from schemas import subjects as s
from schemas.event import Cancelled, Queued
from schemas.ids import DEFAULT_OWNER
from tests.examples import a_task
from tests.harness.broker import Broker
from tests.harness.waiting import eventually

WITHIN_S = 60


async def write(log: EventLog, number: int, *, ended: bool = False) -> None:
    """Store one event of task `number`, however long that takes."""
    about = {"task": a_task(number), "owner": DEFAULT_OWNER, "time": datetime.now(UTC), "name": f"n{number}"}
    if ended:
        await log.finish(Cancelled(**about))  # type: ignore[arg-type]
    else:
        await log.report(Queued(**about))  # type: ignore[arg-type]


@asynccontextmanager
async def writing(broker: Broker) -> AsyncIterator[EventLog]:
    async with broker.connected(Role.COORDINATOR) as connection:
        yield EventLog(connection, "co")


async def take(follower: Follower, count: int) -> list[str]:
    """The names of the next `count` events."""
    names: list[str] = []
    with anyio.fail_after(WITHIN_S):
        while len(names) < count:
            if (found := await follower.next()) is not None:
                names.append(found.event.name)
    return names


async def test_stored_events_come_in_order_and_then_it_says_that_it_has_caught_up(broker: Broker) -> None:
    async with writing(broker) as log, broker.connected(Role.OPERATOR) as connection:
        for number in range(1, 6):
            await write(log, number)
        async with following(connection, 0) as follower:
            assert not follower.is_caught_up
            assert [found.event.name async for found in follower.stored()] == [f"n{number}" for number in range(1, 6)]
            assert follower.is_caught_up


async def test_an_empty_log_is_caught_up_with_at_once(broker: Broker) -> None:
    async with broker.connected(Role.GATEWAY) as connection, following(connection, 0) as follower:
        assert [found async for found in follower.stored()] == []


async def test_what_is_stored_while_catching_up_does_not_put_off_the_end(broker: Broker) -> None:
    async with writing(broker) as log, broker.connected(Role.OPERATOR) as connection:
        await write(log, 1)
        async with following(connection, 0) as follower:
            await write(log, 2)
            assert [found.event.name async for found in follower.stored()] == ["n1"]
            assert await take(follower, 1) == ["n2"]


async def test_it_starts_at_a_moment_after_a_sequence_or_now(broker: Broker) -> None:
    async with writing(broker) as log, broker.connected(Role.OPERATOR) as connection:
        await write(log, 1)
        moment = await eventually(lambda: datetime.now(UTC))
        await write(log, 2)
        async with following(connection, moment) as later, following(connection, 1) as after:
            assert await take(later, 1) == ["n2"]
            assert await take(after, 1) == ["n2"]
        async with following(connection, NOW) as now:
            assert now.is_caught_up
            await write(log, 3)
            assert await take(now, 1) == ["n3"]


async def test_only_the_tasks_and_kinds_asked_for_come(broker: Broker) -> None:
    async with writing(broker) as log, broker.connected(Role.OPERATOR) as connection:
        for number in (1, 2, 3):
            await write(log, number)
            await write(log, number, ended=True)
        async with following(connection, 0, tasks=[a_task(2)]) as one:
            assert [(found.event.name, found.event.kind) async for found in one.stored()] == [
                ("n2", "queued"),
                ("n2", "finished.cancelled"),
            ]
        async with following(connection, 0, kinds=[OUTCOMES]) as ends:
            assert [found.event.name async for found in ends.stored()] == ["n1", "n2", "n3"]
        async with following(connection, 0, tasks=[a_task(3)], kinds=["queued"]) as both:
            assert [found.event.name async for found in both.stored()] == ["n3"]


async def test_more_tasks_than_a_filter_holds_are_told_apart_all_the_same(broker: Broker) -> None:
    async with writing(broker) as log, broker.connected(Role.OPERATOR) as connection:
        await write(log, 1)
        await write(log, 5000)
        many = [a_task(number) for number in range(1, follow.FILTERS_MAX + 10)]
        async with following(connection, 0, tasks=many) as follower:
            assert [found.event.name async for found in follower.stored()] == ["n1"]


async def test_nothing_is_missed_or_doubled_while_the_broker_is_killed_under_load(broker: Broker) -> None:
    count = 3000
    async with writing(broker) as log, broker.connected(Role.OPERATOR) as connection:
        async with following(connection, NOW) as follower, anyio.create_task_group() as tasks:

            async def write_all(first: int) -> None:
                for number in range(first, count + 1, 20):
                    await write(log, number)

            for first in range(1, 21):
                tasks.start_soon(write_all, first)
            seen: list[int] = []
            killed = 0
            names: set[str] = set()
            with anyio.fail_after(WITHIN_S):
                while len(names) < count:
                    if (found := await follower.next()) is not None:
                        seen.append(found.sequence)
                        names.add(found.event.name)
                    if killed < 2 and len(names) > (killed + 1) * count // 4:
                        killed += 1
                        await broker.restart()
        assert killed == 2
        assert seen == list(range(1, seen[-1] + 1))  # nothing is ever deleted: the log's sequences have no holes


async def test_a_follower_that_waits_goes_on_after_a_restart(broker: Broker) -> None:
    async with writing(broker) as log, broker.connected(Role.OPERATOR) as connection:
        async with following(connection, NOW) as follower, anyio.create_task_group() as tasks:
            names: list[str] = []

            async def listen() -> None:
                names.extend(await take(follower, 2))

            tasks.start_soon(listen)
            await write(log, 1)
            await broker.kill()
            await eventually(lambda: not connection.is_connected)
            await broker.start()
            await write(log, 2)
        assert names == ["n1", "n2"]


async def test_a_consumer_that_was_removed_is_made_anew(broker: Broker) -> None:
    async with (
        writing(broker) as log,
        broker.connected(Role.OPERATOR) as connection,
        broker.connected(Role.ADMIN) as admin,
    ):
        async with following(connection, NOW) as follower:
            await write(log, 1)
            assert await take(follower, 1) == ["n1"]
            [name] = (await admin.api(f"CONSUMER.NAMES.{s.EVENTS_STREAM}"))["consumers"]
            await consumers.delete(admin, s.EVENTS_STREAM, name)
            await write(log, 2)
            assert await take(follower, 1) == ["n2"]
        assert not (await admin.api(f"CONSUMER.NAMES.{s.EVENTS_STREAM}"))["consumers"]


async def test_a_message_lost_on_the_way_is_fetched_again(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        writing(broker) as log,
        broker.connected(Role.OPERATOR) as connection,
        following(connection, NOW) as follower,
    ):
        received = pull.Pull.take
        dropped: list[bytes] = []

        async def lossy(self: pull.Pull, msg) -> None:  # type: ignore[no-untyped-def]
            if b'"n2"' in msg.data and not dropped:
                dropped.append(msg.data)
                return
            await received(self, msg)

        assert follower._reader is not None
        monkeypatch.setattr(pull.Pull, "take", lossy)
        follower._stale = True  # the next consumer's messages go through `lossy`
        assert await follower.next() is None
        for number in (1, 2, 3):
            await write(log, number)
        assert await take(follower, 3) == ["n1", "n2", "n3"]
        assert dropped


async def test_a_log_that_was_made_anew_is_followed_from_then_on(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "RENEW_S", 0.5)
    async with (
        writing(broker) as log,
        broker.connected(Role.OPERATOR) as connection,
        broker.connected(Role.ADMIN) as admin,
    ):
        for number in range(1, 6):
            await write(log, number)
        async with following(connection, 0) as follower:
            assert len(await take(follower, 5)) == 5
            await admin.api(f"STREAM.PURGE.{s.EVENTS_STREAM}")
            config = (await admin.api(f"STREAM.INFO.{s.EVENTS_STREAM}"))["config"]
            await admin.api(f"STREAM.DELETE.{s.EVENTS_STREAM}")
            await admin.api(f"STREAM.CREATE.{s.EVENTS_STREAM}", config)

            async def found_again() -> bool:
                await follower.next()
                return follower.after == 0

            await eventually(found_again, within_s=WITHIN_S)
            await write(log, 9)
            assert await take(follower, 1) == ["n9"]


async def test_a_broker_that_is_away_when_it_begins_is_said_so(broker: Broker) -> None:
    async with broker.connected(Role.OPERATOR) as connection:
        await broker.kill()
        with pytest.raises(Unanswered):
            async with following(connection, NOW):
                pass
        await broker.start()


async def test_what_was_on_its_way_when_the_connection_broke_is_fetched_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "RENEW_S", 1000.0)  # or a while later it would notice all the same
    async with writing(broker) as log, broker.connected(Role.OPERATOR) as connection:

        async def lost(self: pull.Pull, msg: object) -> None:
            """Nothing arrives, and nothing comes after it that would show the gap."""

        with monkeypatch.context() as patched:
            patched.setattr(pull.Pull, "take", lost)
            async with following(connection, NOW) as follower, anyio.create_task_group() as tasks:
                names: list[str] = []

                async def listen() -> None:
                    names.extend(await take(follower, 1))

                tasks.start_soon(listen)
                await write(log, 1)
                patched.undo()
                reconnects = connection.client.stats["reconnects"]
                transport = connection.client._transport
                assert transport is not None
                transport._io_writer.transport.abort()  # type: ignore[attr-defined]
                await eventually(lambda: connection.client.stats["reconnects"] > reconnects)
            assert names == ["n1"]
