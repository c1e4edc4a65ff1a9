"""Pull consumers: what is delivered in which order, what is counted, and how a reader is told that there is no more."""

import json

import anyio
import pytest

from broker import consumers, pull
from broker.connection import API, Connection
from broker.consumers import NS
from broker.errors import ApiRefused, ConsumerGone
from broker.roles import Role
from broker.table import Table
from schemas import subjects as s
from tests.harness.waiting import eventually
from tests.sim.contract.brokers import AnyBroker
from tests.sim.contract.raw import EPHEMERAL, EXPLICIT, Got, consumer, info, reading, settled, until_waiting

EVENTS, TASKS = s.EVENTS_STREAM, s.TASKS_STREAM
NO_MORE = "404 No Messages"


async def write_events(connection: Connection, *kinds: str) -> None:
    for number, kind in enumerate(kinds):
        await connection.store(s.event_write(f"t{number}", kind, "node-1"), f"{number}".encode())


def short(found: list[Got]) -> list[tuple[int, int, int] | str]:
    """Sequence, consumer's number and what was still to come; or the status."""
    return [one.status or (one.sequence, one.number, one.pending) for one in found]


async def test_a_filtered_consumer_delivers_what_matches_and_counts_what_is_left(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await write_events(connection, "started", "released", "started", "attempt_failed", "released")
        told = await consumer(connection, EVENTS, "c", *s.FACTS, **EXPLICIT, deliver_policy="all")
        assert (told["num_pending"], told["delivered"]["stream_seq"]) == (3, 0)
        async with reading(connection, EVENTS, "c") as reader:
            found = await reader.all(2)
            assert short(found) == [(2, 1, 2), (4, 2, 1)]
            assert found[0].subject == s.event("t1", "released", "node-1")
            await write_events(connection, "started", "released")
            assert short(await reader.all(10)) == [(5, 3, 1), (7, 4, 0), NO_MORE]
            assert short(await reader.all()) == [NO_MORE]


async def test_the_floor_follows_the_acks_without_a_gap(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await write_events(connection, "released", "started", "released", "released", "started", "released")
        await consumer(connection, EVENTS, "c", *s.FACTS, **EXPLICIT)
        seen = []
        async with reading(connection, EVENTS, "c") as reader:
            found = await reader.all(3)
            for index, un_acked in ((1, 2), (0, 1), (2, 0)):
                await reader.answer(found[index], b"+ACK")
                await eventually_un_acked(connection, "c", un_acked)
                seen.append(await info(connection, EVENTS, "c"))
        assert [(one["floor"], one["delivered"], one["pending"]) for one in seen] == [(0, 4, 1), (3, 4, 1), (4, 4, 1)]


async def eventually_un_acked(connection: Connection, name: str, count: int, stream: str = EVENTS) -> None:
    """Acks are taken beside calls: the next call may still not see one."""

    async def settled() -> bool:
        return (await info(connection, stream, name))["un_acked"] == count

    await eventually(settled, what=f"{count} un-acked")


async def test_the_policies_say_where_to_begin(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await write_events(connection, "released", "started", "released")
        for policy, config, begins, pending in (
            ("all", {}, 0, 2),
            ("new", {}, 3, 0),
            ("by_start_sequence", {"opt_start_seq": 2}, 1, 1),
            ("by_start_sequence", {"opt_start_seq": 9}, 8, 0),
            ("by_start_time", {"opt_start_time": "2020-01-01T00:00:00+00:00"}, 0, 2),
            ("by_start_time", {"opt_start_time": "2060-01-01T00:00:00+00:00"}, 3, 0),
        ):
            told = await consumer(
                connection, EVENTS, f"c-{policy}-{begins}", *s.FACTS, **EPHEMERAL, deliver_policy=policy, **config
            )
            found = (told["delivered"]["stream_seq"], told["ack_floor"]["stream_seq"], told["num_pending"])
            assert found == (begins, begins, pending), policy


async def test_a_new_consumer_hears_what_comes_after_it(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await write_events(connection, "released")
        await consumer(connection, EVENTS, "c", s.EVENTS_ALL, **EPHEMERAL, deliver_policy="new")
        async with reading(connection, EVENTS, "c") as reader:
            await reader.ask(5, expires_s=5)
            await write_events(connection, "started", "released")
            assert short([await reader.next(), await reader.next()]) == [(2, 1, 0), (3, 2, 0)]


async def test_a_snapshot_is_the_last_of_each_subject_in_the_order_of_their_sequences(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        for place, task in (("a", "1"), ("a", "2"), ("b", "1"), ("a", "3"), ("a", "1"), ("b", "4")):
            await connection.store(s.task_write(place, task), place.encode())
        async with pull.snapshot(connection, TASKS, s.node_tasks("a")) as found:
            deliveries = await found.all()
        assert [(one.subject, one.sequence, one.pending) for one in deliveries] == [
            (s.task("a", "2"), 2, 2), (s.task("a", "3"), 4, 1), (s.task("a", "1"), 5, 0),
        ]  # fmt: skip
        assert (found.at_least, found.authoritative) == (5, True)
        async with pull.snapshot(connection, TASKS, s.node_tasks("c")) as found:
            assert await found.all() == []
        assert (await connection.api(f"CONSUMER.NAMES.{TASKS}"))["consumers"] == []


async def test_a_reader_that_counts_bytes_is_told_where_the_next_message_is_too_large_or_the_batch_is_full(
    broker: AnyBroker,
) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        for number in range(3):
            await connection.store(s.task_write("a", f"{number}"), bytes(10_000))
        await consumer(connection, TASKS, "c", s.node_tasks("a"), **EPHEMERAL, deliver_policy="last_per_subject")
        async with reading(connection, TASKS, "c") as reader:
            await reader.ask(10, no_wait=True, max_bytes=25_000)
            found = [await reader.next() for _ in range(3)]
            assert short(found) == [(1, 1, 2), (2, 2, 1), "409 Message Size Exceeds MaxBytes"]
            await reader.ask(1, no_wait=True, max_bytes=25_000)
            assert short([await reader.next() for _ in range(2)]) == [(3, 3, 0), "409 Batch Completed"]


async def test_a_snapshot_of_large_messages_is_whole(broker: AnyBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "SNAPSHOT_BYTES", 25_000)
    monkeypatch.setattr(pull, "SNAPSHOT_BATCH", 3)
    async with broker.connected(Role.COORDINATOR) as connection:
        for number in range(20):
            await connection.store(s.task_write("a", f"{number}"), bytes(10_000 if number < 15 else 1))
        async with pull.snapshot(connection, TASKS, s.node_tasks("a")) as found:
            assert [one.sequence for one in await found.all()] == list(range(1, 21))
            assert found.is_whole


async def test_a_snapshot_in_the_making_shows_what_replaced_a_row_and_not_what_was_deleted(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        for task in ("1", "2", "3"):
            await connection.store(s.task_write("a", task), b"old")
        told = await consumer(connection, TASKS, "c", s.node_tasks("a"), **EPHEMERAL, deliver_policy="last_per_subject")
        assert (told["num_pending"], told["delivered"]["stream_seq"]) == (3, 0)
        await connection.store(s.task_write("a", "1"), b"new")
        await Table(connection).delete_all([2])
        async with reading(connection, TASKS, "c") as reader:
            assert short(await reader.all()) == [(3, 1, 1), (4, 2, 0), NO_MORE]


async def test_a_consumer_without_acks_counts_what_it_sent(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await write_events(connection, "released", "started", "released", "started")
        await consumer(connection, EVENTS, "c", *s.FACTS, **EPHEMERAL, deliver_policy="all")
        async with reading(connection, EVENTS, "c") as reader:
            assert short(await reader.all()) == [(1, 1, 1), (3, 2, 0), NO_MORE]
        assert await info(connection, EVENTS, "c") == {
            "delivered": 3, "number": 2, "floor": 3, "un_acked": 0, "pending": 0, "again": 0,
        }  # fmt: skip


async def test_a_request_that_waits_is_told_when_its_time_is_up(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await consumer(connection, EVENTS, "c", s.EVENTS_ALL, **EPHEMERAL)
        async with reading(connection, EVENTS, "c") as reader:
            await reader.ask(5, expires_s=0.3)
            assert (await reader.next()).status == "408 Request Timeout"


async def test_a_deleted_consumer_says_so_to_whoever_waits_and_then_nobody_answers(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await consumer(connection, EVENTS, "c", s.EVENTS_ALL, **EXPLICIT)
        async with reading(connection, EVENTS, "c") as one, reading(connection, EVENTS, "c") as two:
            await one.ask(5, expires_s=30)
            await two.ask(5, expires_s=30)
            await until_waiting(connection, EVENTS, "c", 2)
            await consumers.delete(connection, EVENTS, "c")
            assert (await one.next()).status == (await two.next()).status == "409 Consumer Deleted"
            await one.ask(5, expires_s=30)
            assert (await one.next()).status.startswith("503")
        async with pull.reading(connection, EVENTS, "c", batch=5) as reader:
            with pytest.raises(ConsumerGone):
                await reader.next()
        for call in ("INFO", "DELETE"):
            with pytest.raises(ApiRefused) as caught:
                await connection.api(f"CONSUMER.{call}.{EVENTS}.c")
            assert caught.value.code == 10014


async def test_readers_that_wait_take_turns(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await consumer(connection, EVENTS, "c", s.EVENTS_ALL, **EXPLICIT)
        async with reading(connection, EVENTS, "c") as one, reading(connection, EVENTS, "c") as two:
            await one.ask(5, expires_s=30)
            await two.ask(5, expires_s=30)
            await until_waiting(connection, EVENTS, "c", 2)
            await write_events(connection, "started", "started", "started")
            assert short([await one.next(), await two.next(), await one.next()]) == [(1, 1, 0), (2, 2, 0), (3, 3, 0)]


async def test_a_reader_that_left_gets_nothing_more(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await consumer(connection, EVENTS, "c", s.EVENTS_ALL, **EXPLICIT)
        async with reading(connection, EVENTS, "c") as gone:
            await gone.ask(5, expires_s=30)
            await until_waiting(connection, EVENTS, "c", 1)
        await settled(connection)
        async with reading(connection, EVENTS, "c") as here:
            await write_events(connection, "started")
            assert short(await here.all(1)) == [(1, 1, 0)]


async def test_a_consumer_nobody_reads_is_dropped_and_one_that_is_read_stays(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        brief = EPHEMERAL | {"inactive_threshold": NS // 2}
        await consumer(connection, EVENTS, "left", s.EVENTS_ALL, **brief)
        await consumer(connection, EVENTS, "read", s.EVENTS_ALL, **brief)
        await consumer(connection, EVENTS, "durable", s.EVENTS_ALL, **EXPLICIT)
        async with reading(connection, EVENTS, "read") as reader:
            await reader.ask(5, expires_s=30)

            async def dropped() -> bool:
                names = (await connection.api(f"CONSUMER.NAMES.{EVENTS}"))["consumers"]
                return sorted(names) == ["durable", "read"]

            await eventually(dropped, within_s=5)
            assert await reader.silent(0.6)
            assert await dropped()


async def test_a_call_must_name_its_stream_twice(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        body = {"stream_name": TASKS, "config": {"name": "c"}}
        with pytest.raises(ApiRefused) as caught:
            await connection.api(f"CONSUMER.CREATE.{EVENTS}.c", body)
        assert caught.value.code == 10056


async def test_an_unlimited_request_waits_for_ever(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await consumer(connection, EVENTS, "c", s.EVENTS_ALL, **EXPLICIT)
        async with reading(connection, EVENTS, "c") as reader:
            await connection.publish(f"{API}.CONSUMER.MSG.NEXT.{EVENTS}.c", json.dumps({"batch": 1}).encode(),
                                     reply=reader._inbox)  # fmt: skip
            assert await reader.silent(0.2)
            await write_events(connection, "started")
            with anyio.fail_after(5):
                assert short([await reader.next()]) == [(1, 1, 0)]
