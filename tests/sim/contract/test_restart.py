"""A server killed and started again: what was stored stays, what lived in the process is gone."""

from contextlib import suppress
from typing import Any

import anyio

from broker import pull
from broker.connection import Connection
from broker.consumers import NS
from broker.errors import ApiRefused
from broker.lease import Holder, Lease
from broker.listen import Heard, listening
from broker.roles import Role
from schemas import subjects as s
from tests.harness.waiting import eventually
from tests.sim.contract.brokers import AnyBroker
from tests.sim.contract.raw import EPHEMERAL, EXPLICIT, consumer, fate, info, reading, state

EVENTS, REQUESTS = s.EVENTS_STREAM, s.REQUESTS_STREAM


async def restart(broker: AnyBroker, *connections: Connection) -> None:
    """Kill it, see everyone notice, start it, and see everyone back."""
    back = [anyio.Event() for _ in connections]
    forget = [one.on_reconnect(event.set) for one, event in zip(connections, back, strict=True)]
    await broker.kill()
    await eventually(lambda: not any(one.is_connected for one in connections))
    await broker.start()
    with anyio.fail_after(10):
        for event, stop in zip(back, forget, strict=True):
            await event.wait()
            stop()


async def delete(admin: Connection, *sequences: int) -> None:
    for sequence in sequences:
        await admin.api(f"STREAM.MSG.DELETE.{s.TASKS_STREAM}", {"seq": sequence, "no_erase": True})


async def standing(admin: Connection, stream: str) -> list[int]:
    """The sequences of what is there."""
    there = []
    for sequence in range(1, 1 + (await state(admin, stream))["last_seq"]):
        with suppress(ApiRefused):
            await admin.api(f"STREAM.MSG.GET.{stream}", {"seq": sequence})
            there.append(sequence)
    return there


async def test_what_was_stored_stays_with_its_sequences_and_conditions(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        anywhere = s.task_anywhere("1")
        for place, expected in (("a", "0"), ("b", "1"), ("a", "2")):
            await fate(admin, s.task_write(place, "1"), expected=expected, of=anywhere)
        await admin.store(s.REQUESTS, b"")
        lease = Lease(admin, "leader", Holder("c1", "i1"), ttl_s=60, checked=True)
        assert await lease.acquire() is None
        before = await state(admin, s.TASKS_STREAM), await state(admin, REQUESTS)
        await restart(broker, admin)
        assert (await state(admin, s.TASKS_STREAM), await state(admin, REQUESTS)) == before
        assert not isinstance(await fate(admin, s.task_write("a", "1"), expected="2", of=anywhere), int)
        assert await fate(admin, s.task_write("a", "1"), expected="3", of=anywhere) == 4
        assert await lease.renew()


async def test_where_the_newest_of_a_subject_was_deleted_what_it_had_replaced_stands_again(broker: AnyBroker) -> None:
    """What is deleted leaves a mark on the disk; what gives way to a newer message does not."""
    async with broker.connected(Role.ADMIN) as admin:
        for place, task in (("a", "1"), ("a", "1"), ("a", "1"), ("b", "1"), ("a", "2"), ("a", "3"), ("a", "3")):
            await admin.store(s.task_write(place, task), b"{}")
        await delete(admin, 3, 5)
        assert await standing(admin, s.TASKS_STREAM) == [4, 7]
        await restart(broker, admin)
        assert await standing(admin, s.TASKS_STREAM) == [2, 4, 7]
        assert await fate(admin, s.task_write("c", "1"), expected="4", of=s.task_anywhere("1")) == 8
        await delete(admin, 2, 4, 7, 8)
        await restart(broker, admin)
        assert await standing(admin, s.TASKS_STREAM) == [], "a block that is empty goes with all that it has"


async def test_where_the_newest_of_a_subject_ran_out_what_it_had_replaced_stands_again(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        for ttl in ("60s", "60s", "1s"):
            await fate(admin, s.bucket_key("a"), ttl=ttl)
        await fate(admin, s.bucket_key("b"))

        async def ran_out() -> bool:
            return await standing(admin, s.BUCKET_STREAM) == [4]

        await eventually(ran_out)
        await restart(broker, admin)
        assert await standing(admin, s.BUCKET_STREAM) == [2, 4]


async def test_durable_consumers_stay_where_they_were_and_those_in_memory_are_gone(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        for number in range(4):
            await admin.store(s.event_write(f"t{number}", "released", "n"), b"")
        await consumer(admin, EVENTS, "durable", *s.FACTS, **EXPLICIT, ack_wait=30 * NS)
        await consumer(admin, EVENTS, "in-memory", *s.FACTS, **EXPLICIT, mem_storage=True)
        await consumer(admin, EVENTS, "brief", *s.FACTS, **EPHEMERAL)
        async with reading(admin, EVENTS, "durable") as reader:
            found = await reader.all(3)
            await reader.answer(found[0], b"+ACK")
            await reader.answer(found[2], b"+ACK")
            await anyio.sleep(0.3)  # the server writes acks down a moment later
            before = await info(admin, EVENTS, "durable")
            assert (before["floor"], before["un_acked"], before["pending"]) == (1, 1, 1)
            await restart(broker, admin)
            assert (await admin.api(f"CONSUMER.NAMES.{EVENTS}"))["consumers"] == ["durable"]
            assert await info(admin, EVENTS, "durable") == before
            assert [one.status or one.sequence for one in await reader.all()] == [4, "404 No Messages"]


async def test_what_was_not_acked_comes_again_after_a_restart_when_it_is_due(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        await admin.store(s.REQUESTS, b"")
        await consumer(admin, REQUESTS, "c", **EXPLICIT, ack_wait=NS)
        async with reading(admin, REQUESTS, "c") as reader:
            await reader.all(1)
            await anyio.sleep(0.3)
            await restart(broker, admin)
            await reader.ask(5, expires_s=10)
            again = await reader.next()
            assert (again.sequence, again.delivered) == (1, 2)


async def test_open_requests_are_lost_with_the_server_and_a_reader_asks_anew(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        await consumer(admin, EVENTS, "durable", s.EVENTS_ALL, **EXPLICIT)
        async with pull.reading(admin, EVENTS, "durable", batch=5) as reader:
            assert await reader.next(expires_s=0.1) is None
            assert await reader.next(expires_s=0.1) is None
            await restart(broker, admin)
            await admin.store(s.event_write("t", "released", "n"), b"")

            async def delivered() -> int | None:
                found = await reader.next(expires_s=0.5)
                return found.sequence if found else None

            assert await eventually(delivered) == 1


async def test_subscriptions_live_again_after_a_restart(broker: AnyBroker) -> None:
    heard: list[Heard] = []
    async with (
        broker.connected(Role.ADMIN) as one,
        broker.connected(Role.ADMIN, "two") as two,
        listening(one, s.TASKS_TREE, heard.append),
    ):
        await restart(broker, one, two)
        await two.store(s.task_write("a", "1"), b"row")
        await eventually(lambda: [each.data for each in heard] == [b"row"])


async def test_what_is_published_while_the_broker_is_away_is_sent_when_it_is_back(broker: AnyBroker) -> None:
    heard: list[Any] = []
    async with (
        broker.connected(Role.ADMIN) as one,
        broker.connected(Role.ADMIN, "two") as two,
        listening(one, "some.*", heard.append),
    ):
        await broker.kill()
        await eventually(lambda: not one.is_connected and not two.is_connected)
        await two.publish(s.event_write("t", "released", "n"), b"kept")
        await broker.start()

        async def stored() -> bool:
            return one.is_connected and two.is_connected and (await state(two, EVENTS))["messages"] == 1

        await eventually(stored, within_s=10)
