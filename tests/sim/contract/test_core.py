"""Subjects without a store behind them: who hears what, and who answers."""

from typing import Any

import anyio
import pytest

from broker.errors import ApiRefused, Unanswered
from broker.listen import Heard, listening
from broker.roles import Role
from broker.service import Answer, Handler, service
from broker.table import Table
from schemas import subjects as s
from tests.harness.waiting import eventually
from tests.sim.contract.brokers import AnyBroker
from tests.sim.contract.raw import fate, settled

TASK = "00000000000000aa"


async def test_what_is_stored_is_told_under_its_public_name_and_what_is_refused_is_not(broker: AnyBroker) -> None:
    heard: list[Heard] = []
    async with (
        broker.connected(Role.ADMIN) as admin,
        broker.connected(Role.COORDINATOR) as connection,
        listening(admin, s.TASKS_TREE, heard.append),
    ):
        await settled(admin)
        of = s.task_anywhere(TASK)
        assert await fate(connection, s.task_write("a", TASK), b"one", expected="0", of=of) == 1
        assert not isinstance(await fate(connection, s.task_write("a", TASK), b"no", expected="0", of=of), int)
        assert await fate(connection, s.task_write("b", TASK), b"two", expected="1", of=of) == 2
        assert await fate(connection, s.task_write("a", TASK), b"three", expected="2", of=of) == 3
        await Table(connection).hint("a", TASK, 3)
        await eventually(lambda: len(heard) == 4)
    told = [(one.subject, one.data, one.headers[s.SEQUENCE], one.headers.get(s.LAST_SEQUENCE)) for one in heard]
    assert told == [
        (s.task("a", TASK), b"one", "1", "0"),
        (s.task("b", TASK), b"two", "2", "0"),
        (s.task("a", TASK), b"three", "3", "1"),
        (s.task("a", TASK), b"", "3", None),
    ]
    assert heard[0].headers["Nats-Stream"] == s.TASKS_STREAM
    assert heard[0].headers["Nats-Subject"] == s.task("a", TASK)
    assert heard[0].headers[s.EXPECTED_SEQUENCE] == "0"


async def test_a_subscriber_of_the_written_subject_hears_even_what_is_refused(broker: AnyBroker) -> None:
    """Why nobody may subscribe to `downloads.write.…`."""
    heard: list[Heard] = []
    async with broker.connected(Role.ADMIN) as admin, listening(admin, "downloads.write.>", heard.append):
        await settled(admin)
        await fate(admin, s.task_write("a", TASK), expected="7", of=s.task_anywhere(TASK))
        await eventually(lambda: len(heard) == 1)


async def test_wildcards_mean_one_part_or_all_the_rest(broker: AnyBroker) -> None:
    heard: dict[str, list[str]] = {pattern: [] for pattern in ("x.*", "x.>", "x.*.c", "x.b", "*.b", ">")}

    async with broker.connected(Role.ADMIN) as admin, broker.connected(Role.ADMIN, "other") as other:
        for pattern, found in heard.items():

            async def hear(msg: Any, found: list[str] = found) -> None:
                if msg.subject.startswith("x"):
                    found.append(msg.subject)

            await admin.client.subscribe(pattern, cb=hear)
        await settled(admin)
        for subject in ("x.a", "x.b", "x.a.b", "x.b.c", "x"):
            await other.publish(subject, b"")
        await eventually(lambda: len(heard[">"]) == 5, within_s=2, what=str(heard))
    assert heard == {
        "x.*": ["x.a", "x.b"],
        "x.>": ["x.a", "x.b", "x.a.b", "x.b.c"],
        "x.*.c": ["x.b.c"],
        "x.b": ["x.b"],
        "*.b": ["x.b"],
        ">": ["x.a", "x.b", "x.a.b", "x.b.c", "x"],
    }


async def test_a_request_nobody_listens_for_is_answered_so_at_once(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        for subject in ("nobody.here", "$JS.API.CONSUMER.MSG.NEXT.TASKS.none", "$JS.API.DIRECT.GET.NONE.x"):
            with anyio.fail_after(2), pytest.raises(Unanswered, match="no responders"):
                await admin.request(subject, timeout_s=5)
        with pytest.raises(Unanswered, match="no answer in time"):
            await admin.request("$JS.API.NONSENSE", timeout_s=0.1)


async def test_what_has_no_stream_is_stored_nowhere_and_the_writer_learns_it(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        assert isinstance(await fate(admin, "downloads.write.tasks.too.many.parts"), Unanswered)
        with pytest.raises(ApiRefused) as caught:
            await admin.api("STREAM.INFO.NONE")
        assert caught.value.code == 10059


async def test_one_of_a_queue_group_hears_and_everyone_beside_it(broker: AnyBroker) -> None:
    grouped: list[str] = []
    alone: list[str] = []

    async def in_group(msg: Any) -> None:
        grouped.append(msg.subject)

    async def by_itself(msg: Any) -> None:
        alone.append(msg.subject)

    async with broker.connected(Role.ADMIN) as one, broker.connected(Role.ADMIN, "two") as two:
        for connection in (one, two):
            await connection.client.subscribe("work.*", queue="q", cb=in_group)
            await connection.client.subscribe("work.*", cb=by_itself)
            await settled(connection)
        for number in range(20):
            await one.publish(f"work.{number}", b"")
        await eventually(lambda: len(alone) == 40)
        assert sorted(grouped) == sorted(f"work.{number}" for number in range(20))


async def test_after_unsubscribing_nothing_is_heard(broker: AnyBroker) -> None:
    heard: list[Heard] = []
    async with broker.connected(Role.ADMIN) as admin:
        async with listening(admin, "some.*", heard.append):
            await settled(admin)
            await admin.publish("some.one", b"")
            await eventually(lambda: len(heard) == 1)
        await admin.publish("some.two", b"")
        await settled(admin)
        assert len(heard) == 1


async def test_a_service_answers_and_can_be_found_and_goes(broker: AnyBroker) -> None:
    async def echo(subject: str, body: bytes) -> Answer:
        return Answer(body[::-1], {"Asked-At": subject})

    async def broken(_subject: str, _body: bytes) -> bytes:
        raise ValueError("planted")

    async with broker.connected(Role.NODE, "node-1") as node, broker.connected(Role.ADMIN) as admin:
        endpoints: dict[str, Handler] = {s.node_verb("node-1", "read"): echo, s.node_verb("node-1", "delete"): broken}
        async with service(
            node, name=s.FILE_SERVICE, version="1.0.0", description="test", endpoints=endpoints, in_flight=4
        ):
            await settled(node)
            answer = await admin.request(s.node_verb("node-1", "read"), b"abc")
            assert (answer.data, (answer.headers or {})["Asked-At"]) == (b"cba", s.node_verb("node-1", "read"))
            answer = await admin.request(s.node_verb("node-1", "delete"), b"abc")
            assert (answer.headers or {})["Nats-Service-Error-Code"] == "500"
            found = await admin.request(f"$SRV.PING.{s.FILE_SERVICE}")
            assert s.FILE_SERVICE.encode() in found.data
        with pytest.raises(Unanswered, match="no responders"):
            await admin.request(s.node_verb("node-1", "read"), b"abc")
