"""Many requests over one connection: bounded, patient with a full inbox, and safe to repeat."""

from pathlib import Path

import anyio
import pytest

from broker import publisher, topology
from broker.connection import Connection
from broker.errors import ApiRefused, BrokerError, Unanswered
from broker.publisher import publishing
from broker.roles import Role
from schemas import codec
from schemas import subjects as s
from schemas.ids import DEFAULT_OWNER, task_id
from schemas.settings import BrokerSettings
from tests.harness.broker import Broker, running_broker
from tests.harness.leader import coordinator
from tests.harness.waiting import eventually

WITHIN_S = 60


def request(number: int, **fields: object) -> bytes:
    return codec.encode({"id": f"n{number}", "uris": [f"http://origin.invalid/{number}"], **fields})


class Told:
    """What became of the messages, by key."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.refused: dict[int, BrokerError] = {}
        self.full: list[float] = []

    def refuse(self, key: int, error: BrokerError) -> None:
        self.refused[key] = error


async def inbox_messages(admin: Connection) -> int:
    return int((await admin.api(f"STREAM.INFO.{s.REQUESTS_STREAM}"))["state"]["messages"])


async def test_every_message_is_stored_once_and_told_of_once(broker: Broker) -> None:
    told = Told()
    async with broker.connected(Role.OPERATOR) as connection, broker.connected(Role.ADMIN) as admin:
        async with publishing(connection, stored=told.stored.append, refused=told.refuse) as many:
            for number in range(2000):
                await many.put(number, s.REQUESTS, request(number))
                assert len(many.unsettled) <= publisher.WINDOW
            await many.settle()
        assert sorted(told.stored) == list(range(2000))
        assert await inbox_messages(admin) == 2000


async def test_what_the_broker_refuses_is_told_and_the_rest_goes_on(broker: Broker) -> None:
    told = Told()
    async with (
        broker.connected(Role.OPERATOR) as connection,
        publishing(connection, stored=told.stored.append, refused=told.refuse) as many,
    ):
        for number in range(3):
            await many.put(number, s.REQUESTS, request(number, name="x" * (600_000 if number == 1 else 1)))
        await many.settle()
    assert sorted(told.stored) == [0, 2]
    assert isinstance(told.refused[1], ApiRefused)


async def test_a_full_inbox_is_waited_for(tmp_path: Path) -> None:
    told = Told()
    async with (
        running_broker(tmp_path / "broker", with_streams=False) as broker,
        broker.connected(Role.ADMIN) as admin,
        broker.connected(Role.PRODUCER) as connection,
    ):
        await topology.ensure_patiently(admin, BrokerSettings(requests_bytes_max=20_000))
        async with (
            publishing(connection, stored=told.stored.append, refused=told.refuse, full=told.full.append) as many,
            anyio.create_task_group() as tasks,
        ):

            async def put_all() -> None:
                for number in range(300):
                    await many.put(number, s.REQUESTS, request(number))
                await many.settle()

            tasks.start_soon(put_all)
            await eventually(lambda: len(told.full) > 1, within_s=WITHIN_S, what="it is said, and said again")
            assert told.full[:2] == [publisher.FULL_WAIT_S, 2 * publisher.FULL_WAIT_S]
            assert 0 < len(told.stored) < 300

            async def drain() -> bool:
                await admin.api(f"STREAM.PURGE.{s.REQUESTS_STREAM}")
                return len(told.stored) == 300

            await eventually(drain, within_s=WITHIN_S, every_s=0.2)
        assert told.refused == {}
        assert sorted(told.stored) == list(range(300))


async def test_a_broker_killed_in_the_middle_loses_nothing_and_makes_no_second_task(broker: Broker) -> None:
    count = 2000
    told = Told()
    async with coordinator(broker) as leader:
        await leader.until_leading()
        async with broker.connected(Role.OPERATOR) as connection:
            async with (
                publishing(connection, stored=told.stored.append, refused=told.refuse) as many,
                anyio.create_task_group() as tasks,
            ):

                async def put_all() -> None:
                    for number in range(count):
                        await many.put(number, s.REQUESTS, request(number))
                    await many.settle()

                tasks.start_soon(put_all)
                await eventually(lambda: len(told.stored) > count // 4)
                await broker.restart()
            # … and all of it once more, as somebody would who was not told that it had arrived.
            async with publishing(connection, stored=lambda _key: None, refused=told.refuse) as many:
                for number in range(count):
                    await many.put(number, s.REQUESTS, request(number))
                await many.settle()
        assert sorted(told.stored) == list(range(count))
        wanted = {task_id(DEFAULT_OWNER, f"id:n{number}") for number in range(count)}
        async with broker.connected(Role.ADMIN) as admin:

            async def inbox_is_empty() -> bool:
                return leader.leads and await inbox_messages(admin) == 0

            await eventually(inbox_is_empty, within_s=WITHIN_S, every_s=0.2)
        assert set(leader.term.book.tasks()) == wanted


async def test_a_broker_that_stays_silent_is_said_and_what_is_unsure_is_named(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "PATIENCE_S", 1.0)
    told = Told()
    async with broker.connected(Role.OPERATOR) as connection:
        with pytest.raises(Unanswered, match="has not answered for 1 s"):
            async with publishing(connection, stored=told.stored.append, refused=told.refuse) as many:
                await many.put(1, s.REQUESTS, request(1))
                await many.settle()
                await broker.kill()
                await many.put(2, s.REQUESTS, request(2))
                await many.settle()
        assert (told.stored, many.unsettled) == ([1], [2])
        await broker.start()


async def test_large_requests_are_bounded_by_their_bytes(broker: Broker) -> None:
    told = Told()
    size = 400_000
    async with (
        broker.connected(Role.OPERATOR) as connection,
        publishing(connection, stored=told.stored.append, refused=told.refuse) as many,
    ):
        for number in range(60):
            await many.put(number, s.REQUESTS, request(number, name="x" * size))
            assert len(many.unsettled) * size <= publisher.WINDOW_BYTES
        await many.settle()
    assert len(told.stored) == 60
