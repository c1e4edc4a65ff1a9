"""What a stream refuses for its size, and what goes by itself when its time is up."""

import time

import anyio
import pytest

from broker import checked
from broker.connection import Connection
from broker.errors import ApiRefused, BrokerError, SequenceConflict, StoreFull
from broker.lease import Holder, Lease
from broker.roles import Role
from broker.table import Table
from schemas import subjects as s
from schemas.settings import BrokerSettings
from tests.harness.waiting import eventually
from tests.sim.contract.brokers import AnyBroker, make, wipe
from tests.sim.contract.raw import fate, state

KEY = s.bucket_key("some.key")
RECORD = 30


async def small(admin: Connection, settings: BrokerSettings) -> None:
    """The streams made anew, too small for much."""
    await wipe(admin)
    await make(admin, settings)


def codes(fates: list[int | BrokerError]) -> list[int | str]:
    return [one if isinstance(one, int) else type(one).__name__ for one in fates]


@pytest.mark.parametrize("spare", [-1, 0, 1])
async def test_a_full_table_takes_what_is_no_larger_than_what_it_replaces(broker: AnyBroker, spare: int) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        size = RECORD + len(s.task("a", "1")) + 10
        await small(admin, BrokerSettings(tasks_bytes_max=3 * size + spare))
        fates = [await fate(admin, s.task_write("a", f"{task}"), b"x" * 10) for task in range(4)]
        full = ["StoreFull"]
        assert codes(fates) == ([1, 2, *full, *full] if spare < 0 else [1, 2, 3, *full])
        if spare < 0:
            return
        same = [await fate(admin, s.task_write("a", "0"), b"x" * length) for length in (10, 9, 9, 10, 3)]
        assert codes(same) == [4, 5, 6, *full, 7]
        assert (await state(admin, s.TASKS_STREAM))["bytes"] == 3 * size - 7
        await Table(admin).delete_all([2])
        assert codes([await fate(admin, s.task_write("b", "9"), b"x" * 10)]) == [8]


async def test_a_full_log_and_a_full_inbox_refuse_and_recover(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        await small(admin, BrokerSettings(events_bytes_max=200, requests_bytes_max=200))
        for subject, stream in (
            (s.event_write("t", "released", "n"), s.EVENTS_STREAM),
            (s.REQUESTS, s.REQUESTS_STREAM),
        ):
            fates = [await fate(admin, subject, b"x" * 40) for _ in range(3)]
            assert codes(fates)[0] == 1
            assert isinstance(fates[-1], StoreFull)
            await admin.api(f"STREAM.PURGE.{stream}")
            assert isinstance(await fate(admin, subject, b"x" * 40), int)


async def test_a_lost_condition_is_told_before_a_full_table(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        await small(admin, BrokerSettings(tasks_bytes_max=60))
        assert await fate(admin, s.task_write("a", "1"), b"x") == 1
        anywhere = s.task_anywhere("1")
        assert isinstance(await fate(admin, s.task_write("b", "1"), b"x", expected="0", of=anywhere), SequenceConflict)
        assert isinstance(await fate(admin, s.task_write("b", "1"), b"x", expected="1", of=anywhere), StoreFull)


async def test_a_message_above_the_streams_limit_is_refused_headers_counted(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        room = 512 * 1024 - len("NATS/1.0\r\nNats-Msg-Id: abc\r\n\r\n")
        assert await fate(admin, s.REQUESTS, b"x" * room, id="abc") == 1
        for length, headers in ((room + 1, {"id": "abd"}), (512 * 1024 + 1, {})):
            error = await fate(admin, s.REQUESTS, b"x" * length, **headers)
            assert isinstance(error, ApiRefused)
            assert error.code == 10054
        wrong = await fate(admin, s.task_write("a", "1"), b"x" * (768 * 1024 + 1), expected="9")
        assert isinstance(wrong, ApiRefused)
        assert wrong.code == 10054


async def test_a_key_with_a_time_to_live_is_gone_when_it_is_up(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        began = time.monotonic()
        assert await fate(admin, KEY, b"held", expected="0", ttl="1s") == 1
        assert codes([await fate(admin, KEY, b"held", expected="0", ttl="1s")]) == ["SequenceConflict"]

        async def gone() -> bool:
            return await checked.get(admin, s.BUCKET_STREAM, {"last_by_subj": KEY}) is None

        await eventually(gone, within_s=5)
        assert 0.9 < time.monotonic() - began < 3
        assert codes([await fate(admin, KEY, expected="1"), await fate(admin, KEY, expected="0")]) == [
            "SequenceConflict", 2,
        ]  # fmt: skip


async def test_a_time_to_live_is_whole_seconds_and_only_where_it_is_allowed(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        for subject, ttl, code in ((KEY, "soon", 10165), (KEY, "0.5s", 10165), (s.task_write("a", "1"), "1s", 10166)):
            error = await fate(admin, subject, ttl=ttl)
            assert isinstance(error, ApiRefused)
            assert error.code == code


async def test_a_bucket_deletes_nothing_on_request(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        await fate(admin, KEY)
        with pytest.raises(ApiRefused) as caught:
            await admin.api(f"STREAM.MSG.DELETE.{s.BUCKET_STREAM}", {"seq": 1})
        assert caught.value.code == 10057


async def test_a_lease_is_held_renewed_lost_and_taken(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as connection:
        one, two, three = (
            Lease(connection, s.LEADER_KEY, Holder(name, name), ttl_s=ttl_s, checked=True)
            for name, ttl_s in (("one", 1), ("two", 60), ("three", 60))
        )
        assert await two.read() is None
        assert await one.acquire() is None
        found = await two.acquire()
        assert found is not None
        assert (found.holder.name, found.revision) == ("one", 1)
        assert await one.renew()
        assert one.revision == 2

        async def taken() -> bool:
            return await two.acquire() is None

        await eventually(taken, within_s=5)
        assert not await one.renew()
        assert await three.acquire(frozenset({"two"})) is None, "a dead predecessor's"
        assert not await two.renew()
        await three.release()
        assert await two.acquire() is None, "at once"


async def test_a_node_reads_its_lock_directly(broker: AnyBroker) -> None:
    async with broker.connected(Role.NODE, "node-1") as connection:
        key = s.node_lock_key("node-1")
        one, two = (Lease(connection, key, Holder("node-1", instance), ttl_s=60) for instance in ("i1", "i2"))
        assert await one.acquire() is None
        found = await two.acquire()
        assert found is not None
        assert found.holder.instance == "i1"
        assert await one.renew()
        await one.release()
        assert await two.acquire() is None


async def test_the_end_of_a_released_mark_takes_no_later_key(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        assert [await fate(admin, KEY, ttl="1s"), await fate(admin, KEY, ttl="60s")] == [1, 2]
        await anyio.sleep(1.2)
        found = await checked.get(admin, s.BUCKET_STREAM, {"last_by_subj": KEY})
        assert found is not None
        assert found.sequence == 2
