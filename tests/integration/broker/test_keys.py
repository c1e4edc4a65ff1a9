"""Values of the bucket: written by compare-and-set, followed live and by reading again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from broker import keys, topology
from broker.connection import Connection
from broker.errors import Unanswered
from broker.roles import Role
from broker.standing import Changes, Found
from schemas import subjects as s
from schemas.settings import BrokerSettings
from tests.harness.broker import Broker
from tests.harness.waiting import eventually

MINE = s.node_settings_key("node-1")


class Seen:
    """What a follower was told, the latest of each key."""

    def __init__(self) -> None:
        self.calls: list[Changes] = []
        self.values: dict[str, bytes | None] = {}

    def changed(self, changes: Changes) -> None:
        self.calls.append(changes)
        self.values |= {key: found.body if found else None for key, found in changes.items()}


@asynccontextmanager
async def followed(connection: Connection, patterns: Sequence[str], *, own: bool = False) -> AsyncIterator[Seen]:
    seen = Seen()
    async with anyio.create_task_group() as tasks:
        await tasks.start(partial(keys.follow, own=own), connection, patterns, seen.changed)
        yield seen
        tasks.cancel_scope.cancel()


async def shows(seen: Seen, key: str, body: bytes | None) -> None:
    await eventually(lambda: seen.values.get(key, b"never") == body, what=f"{key} is {body!r}")


async def test_a_value_is_written_over_the_one_it_is_based_on_only(broker: Broker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        assert await keys.read(connection, s.POLICY_KEY) is None
        first = await keys.write(connection, s.POLICY_KEY, b"one", expected=0)
        assert first is not None
        assert await keys.write(connection, s.POLICY_KEY, b"two", expected=0) is None
        second = await keys.write(connection, s.POLICY_KEY, b"two", expected=first)
        assert second is not None
        assert await keys.write(connection, s.POLICY_KEY, b"three", expected=first) is None
        assert await keys.read(connection, s.POLICY_KEY) == Found(b"two", second)


async def test_a_value_may_be_written_over_whatever_stands_there(broker: Broker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await keys.write(connection, s.PLACING_KEY, b"one", expected=None)
        revision = await keys.write(connection, s.PLACING_KEY, b"two", expected=None)
        assert await keys.read(connection, s.PLACING_KEY) == Found(b"two", revision or 0)


async def test_a_value_that_was_taken_away_is_none_and_can_be_written_anew(broker: Broker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        first = await keys.write(connection, MINE, b"{}", expected=0)
        assert await keys.write(connection, MINE, b"", expected=first) is not None
        assert await keys.read(connection, MINE) is None
        assert await keys.read_all(connection, "nodes.*") == {}
        again = await keys.write(connection, MINE, b"anew", expected=0)
        assert await keys.read_all(connection, "nodes.*") == {MINE: Found(b"anew", again or 0)}


async def test_a_write_whose_answer_was_lost_is_recognised(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        first = await keys.write(connection, s.POLICY_KEY, b"one", expected=0)
        store = connection.store

        async def unheard(*args: object) -> int:
            await store(*args)  # type: ignore[arg-type]
            raise Unanswered("the answer was lost")

        monkeypatch.setattr(connection, "store", unheard)
        revision = await keys.write(connection, s.POLICY_KEY, b"two", expected=first)
        assert await keys.read(connection, s.POLICY_KEY) == Found(b"two", revision or 0)


async def test_a_write_that_was_lost_is_sent_again(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        store, lost = connection.store, [True]

        async def losing(subject: str, body: bytes, headers: dict[str, str]) -> int:
            if lost:
                raise Unanswered(f"lost {lost.pop()}")
            return await store(subject, body, headers)

        monkeypatch.setattr(connection, "store", losing)
        revision = await keys.write(connection, s.POLICY_KEY, b"one", expected=0)
        assert await keys.read(connection, s.POLICY_KEY) == Found(b"one", revision or 0)


async def test_of_ten_writers_at_once_one_wins(broker: Broker) -> None:
    fates: list[int | None] = []

    async def write(connection: Connection, body: bytes) -> None:
        fates.append(await keys.write(connection, s.POLICY_KEY, body, expected=0))

    async with broker.connected(Role.COORDINATOR) as connection, anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(write, connection, b"%d" % number)
    assert sum(fate is not None for fate in fates) == 1


async def test_a_thousand_values_are_read_whole(broker: Broker) -> None:
    written = {s.node_share_key(f"node-{number}"): b"%d" % number for number in range(1000)}
    async with broker.connected(Role.COORDINATOR) as connection:
        async with anyio.create_task_group() as tasks:
            for key, body in written.items():
                tasks.start_soon(partial(keys.write, connection, key, body, expected=0))
        await keys.write(connection, s.POLICY_KEY, b"another", expected=0)
        found = await keys.read_all(connection, "shares.*")
        assert {key: one.body for key, one in found.items()} == written


async def test_the_leader_follows_what_stands_and_what_changes(broker: Broker) -> None:
    async with broker.connected(Role.COORDINATOR) as writer, broker.connected(Role.COORDINATOR) as reader:
        revision = await keys.write(writer, s.POLICY_KEY, b"one", expected=0)
        async with followed(reader, (s.POLICY_KEY, "nodes.*")) as seen:
            assert seen.calls == [{s.POLICY_KEY: Found(b"one", revision or 0)}]
            await keys.write(writer, MINE, b"mine", expected=0)
            await shows(seen, MINE, b"mine")
            await keys.write(writer, MINE, b"", expected=None)
            await shows(seen, MINE, None)
            await keys.write(writer, s.PLACING_KEY, b"none of its business", expected=0)
            await keys.write(writer, s.POLICY_KEY, b"two", expected=revision)
            await shows(seen, s.POLICY_KEY, b"two")
            assert s.PLACING_KEY not in seen.values


async def test_a_follower_is_told_where_nothing_stands(broker: Broker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection, followed(connection, (s.POLICY_KEY,)) as seen:
        assert seen.calls == [{}]


async def test_a_write_that_was_refused_reaches_no_follower(broker: Broker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await keys.write(connection, s.POLICY_KEY, b"stands", expected=0)
        async with followed(connection, (s.POLICY_KEY,)) as seen:
            assert await keys.write(connection, s.POLICY_KEY, b"refused", expected=0) is None
            await keys.write(connection, s.POLICY_KEY, b"last", expected=None)
            await shows(seen, s.POLICY_KEY, b"last")
            assert [call[s.POLICY_KEY].body for call in seen.calls if call[s.POLICY_KEY]] == [b"stands", b"last"]  # type: ignore[union-attr]


async def test_a_node_follows_its_own_within_its_permissions(broker: Broker) -> None:
    own = (MINE, s.node_share_key("node-1"))
    async with broker.connected(Role.COORDINATOR) as writer, broker.connected(Role.NODE, "node-1") as node:
        await keys.write(writer, MINE, b"one", expected=0)
        async with followed(node, own, own=True) as seen:
            assert seen.values == {MINE: b"one"}
            await keys.write(writer, s.node_settings_key("node-2"), b"another's", expected=0)
            await keys.write(writer, own[1], b"share", expected=0)
            await shows(seen, own[1], b"share")
            await keys.write(writer, MINE, b"", expected=None)
            await shows(seen, MINE, None)
            assert set(seen.values) == set(own)
        assert await keys.read_own(node, own[1]) is not None
        assert await keys.read_own(node, MINE) is None


@pytest.mark.parametrize(("role", "own"), [(Role.COORDINATOR, False), (Role.NODE, True)])
async def test_what_was_written_while_a_follower_was_cut_off_is_read_when_it_is_back(
    broker: Broker, role: Role, own: bool
) -> None:
    name = "node-1" if role is Role.NODE else ""
    async with broker.connected(role, name) as reader, followed(reader, (MINE,), own=own) as seen:
        await broker.kill()
        await eventually(lambda: not reader.is_connected, what="it is cut off")
        await broker.start()
        async with broker.connected(Role.COORDINATOR) as writer:
            await keys.write(writer, MINE, b"meanwhile", expected=0)
        await shows(seen, MINE, b"meanwhile")


async def test_a_bucket_that_republishes_nothing_is_read_again_and_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "READ_AGAIN_S", 0.2)
    async with broker.connected(Role.ADMIN) as admin, broker.connected(Role.COORDINATOR) as connection:
        wanted = topology.declared(BrokerSettings())[s.BUCKET_STREAM]
        without = {field: value for field, value in wanted.items() if field != "republish"}
        await admin.api(f"STREAM.UPDATE.{s.BUCKET_STREAM}", {"name": s.BUCKET_STREAM, **without})
        async with followed(connection, (s.POLICY_KEY,)) as seen:
            await keys.write(connection, s.POLICY_KEY, b"one", expected=0)
            await shows(seen, s.POLICY_KEY, b"one")
