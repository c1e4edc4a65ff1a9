"""What is delivered and not acked: when it comes again, to whom, and how much of it there may be."""

import time

import anyio
import pytest

from broker import consumers, pull
from broker.connection import Connection
from broker.consumers import NS
from broker.errors import ApiRefused
from broker.roles import Role
from schemas import subjects as s
from tests.harness.waiting import eventually
from tests.sim.contract.brokers import AnyBroker
from tests.sim.contract.raw import EXPLICIT, Got, consumer, info, reading, state

REQUESTS = s.REQUESTS_STREAM
NO_MORE = "404 No Messages"


async def submit(connection: Connection, count: int) -> None:
    for number in range(count):
        await connection.store(s.REQUESTS, f"{number}".encode())


def short(found: list[Got]) -> list[tuple[int, int] | str]:
    """Sequence and how often it was delivered; or the status."""
    return [one.status or (one.sequence, one.delivered) for one in found]


async def test_an_ack_takes_a_request_out_of_the_inbox(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await submit(connection, 3)
        await consumer(connection, REQUESTS, "c", **EXPLICIT)
        async with pull.reading(connection, REQUESTS, "c", batch=10) as reader:
            for _ in range(3):
                delivery = await reader.next()
                assert delivery is not None
                if delivery.sequence != 2:
                    await reader.ack(delivery)

        async def one_left() -> bool:
            return await state(connection, REQUESTS) == {
                "messages": 1, "bytes": 30 + len(s.REQUESTS) + 1, "first_seq": 2, "last_seq": 3, "num_subjects": 1,
            }  # fmt: skip

        await eventually(one_left)
        counts = await info(connection, REQUESTS, "c")
        assert (counts["floor"], counts["un_acked"], counts["pending"]) == (1, 1, 0)


async def test_un_acked_requests_come_at_once_to_the_consumer_that_replaces_a_deleted_one(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await submit(connection, 3)
        await consumer(connection, REQUESTS, "claim-1", **EXPLICIT, ack_wait=30 * NS)
        async with reading(connection, REQUESTS, "claim-1") as old:
            held = await old.all(3)
            assert short(held) == [(1, 1), (2, 1), (3, 1)]
            await old.answer(held[0], b"+ACK")
            await eventually(lambda: left(connection, 2))
            await consumers.delete(connection, REQUESTS, "claim-1")
            told = await consumer(connection, REQUESTS, "claim-2", **EXPLICIT)
            assert (told["num_pending"], told["delivered"]["stream_seq"]) == (2, 1)
            await old.answer(held[1], b"+ACK")  # a deposed leader's: it reaches nothing
            async with reading(connection, REQUESTS, "claim-2") as new:
                assert short(await new.all()) == [(2, 1), (3, 1), NO_MORE]
            assert await left(connection, 2)


async def left(connection: Connection, count: int) -> bool:
    return (await state(connection, REQUESTS))["messages"] == count


async def test_a_work_queue_has_one_consumer_for_each_message(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await consumer(connection, REQUESTS, "c", **EXPLICIT)
        for name, filters, config, code in (
            ("d", (), EXPLICIT, 10099),
            ("e", ("downloads.requests.ann",), EXPLICIT, 10100),
            ("f", (), {"ack_policy": "none"}, 10084),
            ("g", (), EXPLICIT | {"deliver_policy": "new"}, 10101),
        ):
            with pytest.raises(ApiRefused) as caught:
                await consumer(connection, REQUESTS, name, *filters, **config)
            assert caught.value.code == code, name
        assert (await connection.api(f"CONSUMER.NAMES.{REQUESTS}"))["consumers"] == ["c"]
        await consumers.delete(connection, REQUESTS, "c")
        await consumer(connection, REQUESTS, "d", "downloads.requests.ann", **EXPLICIT)
        await consumer(connection, REQUESTS, "e", "downloads.requests.bob", **EXPLICIT)
        with pytest.raises(ApiRefused) as caught:
            await consumer(connection, REQUESTS, "f", "downloads.requests.*", **EXPLICIT)
        assert caught.value.code == 10100


async def test_what_is_not_acked_in_time_comes_again_before_what_is_new(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await submit(connection, 3)
        await consumer(connection, REQUESTS, "c", **EXPLICIT, ack_wait=NS // 2)
        async with reading(connection, REQUESTS, "c") as reader:
            first = await reader.all(2)
            assert short(first) == [(1, 1), (2, 1)]
            await reader.answer(first[1], b"+ACK")
            await anyio.sleep(0.8)
            assert short(await reader.all()) == [(1, 2), (3, 1), NO_MORE]
        counts = await info(connection, REQUESTS, "c")
        assert (counts["again"], counts["un_acked"], counts["number"]) == (1, 2, 4)


async def test_a_waiting_reader_gets_what_was_not_acked_as_soon_as_it_is_due(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await submit(connection, 1)
        await consumer(connection, REQUESTS, "c", **EXPLICIT, ack_wait=NS // 2)
        async with reading(connection, REQUESTS, "c") as reader:
            await reader.ask(5, expires_s=10)
            began = time.monotonic()
            assert short([await reader.next(), await reader.next()]) == [(1, 1), (1, 2)]
            assert 0.4 < time.monotonic() - began < 2


async def test_a_nak_brings_it_again_at_once_or_after_its_delay(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await submit(connection, 2)
        await consumer(connection, REQUESTS, "c", **EXPLICIT, ack_wait=30 * NS)
        async with pull.reading(connection, REQUESTS, "c", batch=10) as reader:
            one, two = await reader.next(), await reader.next()
            assert one is not None
            assert two is not None
            began = time.monotonic()
            await reader.nak(one, 0.5)
            await reader.nak(two, 0)
            again = [await reader.next(), await reader.next()]
            assert [(each.sequence, each.delivered) for each in again if each] == [(2, 2), (1, 2)]
            assert 0.4 < time.monotonic() - began < 2


async def test_a_late_ack_counts_while_the_message_waits_to_come_again(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await submit(connection, 1)
        await consumer(connection, REQUESTS, "c", **EXPLICIT, ack_wait=30 * NS)
        async with reading(connection, REQUESTS, "c") as reader:
            (one,) = await reader.all(1)
            await reader.answer(one, b'-NAK {"delay": 300000000}')
            await reader.answer(one, b"+ACK")
            await eventually(lambda: left(connection, 0))
            await anyio.sleep(0.4)
            assert short(await reader.all()) == [NO_MORE]


async def test_term_ends_a_message_and_progress_puts_its_return_off(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await submit(connection, 2)
        await consumer(connection, REQUESTS, "c", **EXPLICIT, ack_wait=NS // 2)
        async with reading(connection, REQUESTS, "c") as reader:
            one, two = await reader.all(2)
            await reader.answer(one, b"+TERM")
            await eventually(lambda: left(connection, 1))
            await anyio.sleep(0.3)
            await reader.answer(two, b"+WPI")
            await anyio.sleep(0.35)
            assert short(await reader.all()) == [NO_MORE]
            await anyio.sleep(0.3)
            assert short(await reader.all(1)) == [(2, 2)]


async def test_no_more_may_be_un_acked_than_the_consumer_allows(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await submit(connection, 4)
        await consumer(connection, REQUESTS, "c", **EXPLICIT, max_ack_pending=2)
        async with reading(connection, REQUESTS, "c") as reader:
            await reader.ask(5, expires_s=10)
            found = [await reader.next(), await reader.next()]
            assert await reader.silent(0.2)
            await reader.answer(found[0], b"+ACK")
            assert short([await reader.next()]) == [(3, 1)]
            assert await reader.silent(0.1)
        counts = await info(connection, REQUESTS, "c")
        assert (counts["un_acked"], counts["pending"], counts["floor"]) == (2, 1, 1)


async def test_a_request_that_does_not_wait_is_held_where_too_much_is_un_acked(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await submit(connection, 3)
        await consumer(connection, REQUESTS, "c", **EXPLICIT, max_ack_pending=1)
        async with reading(connection, REQUESTS, "c") as reader:
            await reader.ask(5, no_wait=True)
            one = await reader.next()
            assert await reader.silent(0.1)
            await reader.ask(5, no_wait=True)
            assert (await reader.next()).status == "408 Requests Pending"
            await reader.answer(one, b"+ACK")
            two = await reader.next()
            await reader.answer(two, b"+ACK")
            three = await reader.next()
            await reader.answer(three, b"+ACK")
            assert short([one, two, three, await reader.next()]) == [(1, 1), (2, 1), (3, 1), NO_MORE]


async def test_an_ack_of_what_was_never_delivered_changes_nothing(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await submit(connection, 2)
        await consumer(connection, REQUESTS, "c", **EXPLICIT)
        async with reading(connection, REQUESTS, "c") as reader:
            (one,) = await reader.all(1)
            await reader.answer(one._replace(reply=one.reply.replace(".1.1.1.", ".1.2.2.", 1)), b"+ACK")
            await anyio.sleep(0.1)  # acks are taken beside requests: it might come after the delivery
            assert short(await reader.all()) == [(2, 1), NO_MORE]
            assert await left(connection, 2)


async def test_a_deleted_message_is_not_waited_for(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        await submit(connection, 3)
        await consumer(connection, REQUESTS, "c", **EXPLICIT, ack_wait=NS // 2)
        async with reading(connection, REQUESTS, "c") as reader:
            assert len(await reader.all(2)) == 2
            for sequence in (1, 3):
                await connection.api(f"STREAM.MSG.DELETE.{REQUESTS}", {"seq": sequence, "no_erase": True})
            counts = await info(connection, REQUESTS, "c")
            assert counts["pending"] == 0
            await anyio.sleep(0.8)
            assert short(await reader.all()) == [(2, 2), NO_MORE]
