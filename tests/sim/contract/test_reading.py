"""Reads of what is stored: by sequence, the last and the next of a subject, and what streams tell of themselves."""

import base64

import pytest

from broker import topology
from broker.connection import API
from broker.errors import ApiRefused
from broker.eventlog import EventLog, history
from broker.roles import Role
from schemas import subjects as s
from schemas.settings import BrokerSettings
from tests.sim.contract.brokers import AnyBroker
from tests.sim.contract.events import completed, failed, released
from tests.sim.contract.raw import refused, state

TASK = "00000000000000aa"


async def test_a_message_is_found_by_sequence_and_as_the_last_or_next_under_a_filter(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        for place, task in (("a", "1"), ("a", "2"), ("b", "1"), ("a", "1")):
            await connection.store(s.task_write(place, task), f"{place}{task}".encode())
        found = []
        for query in (
            {"seq": 2},
            {"last_by_subj": s.task_anywhere("1")},
            {"last_by_subj": s.task("b", "1")},
            {"last_by_subj": s.node_tasks("a")},
            {"seq": 1, "next_by_subj": s.task_anywhere("1")},
            {"seq": 4, "next_by_subj": s.task_anywhere("1")},
        ):
            message = (await connection.api(f"STREAM.MSG.GET.{s.TASKS_STREAM}", query))["message"]
            found.append((message["seq"], message["subject"], base64.b64decode(message["data"])))
        assert found == [
            (2, s.task("a", "2"), b"a2"),
            (4, s.task("a", "1"), b"a1"),
            (3, s.task("b", "1"), b"b1"),
            (4, s.task("a", "1"), b"a1"),
            (3, s.task("b", "1"), b"b1"),
            (4, s.task("a", "1"), b"a1"),
        ]


async def test_what_is_not_there_says_so(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        await connection.store(s.task_write("a", "1"), b"")
        await connection.store(s.task_write("a", "1"), b"")
        get = f"STREAM.MSG.GET.{s.TASKS_STREAM}"
        for query, code in (
            ({"seq": 1}, 10037),
            ({"seq": 3}, 10037),
            ({"last_by_subj": s.task_anywhere("2")}, 10037),
            ({"seq": 3, "next_by_subj": s.task_anywhere("1")}, 10037),
            ({}, 10003),
        ):
            assert (await refused(connection, get, query))[0] == code, query
        empty = await connection.api(get, {"seq": 2})
        assert "data" not in empty["message"]


async def test_a_direct_read_carries_sequence_and_stored_headers(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        await admin.store(s.bucket_key("leader"), b"me", {s.EXPECTED_SEQUENCE: "0", s.TTL: "60s"})
        answer = await admin.request(f"{API}.DIRECT.GET.{s.BUCKET_STREAM}.{s.bucket_key('leader')}")
        headers = answer.headers or {}
        assert answer.data == b"me"
        assert (headers[s.SEQUENCE], headers["Nats-Stream"], headers[s.TTL]) == ("1", s.BUCKET_STREAM, "60s")
        missing = await admin.request(f"{API}.DIRECT.GET.{s.BUCKET_STREAM}.{s.bucket_key('none')}")
        assert (missing.data, (missing.headers or {})["Status"]) == (b"", "404")


async def test_the_history_of_a_task_is_its_events_in_order(broker: AnyBroker) -> None:
    async with broker.connected(Role.NODE, "node-1") as node, broker.connected(Role.COORDINATOR) as leader:
        log = EventLog(node, "node-1")
        await log.report(released(TASK, "node-1"))
        await EventLog(leader, "c1").finish(failed("00000000000000bb"))
        await log.finish(completed(TASK, "node-1"))
        found = await history(leader, TASK)
        assert [(one.sequence, one.event.kind) for one in found] == [(1, "released"), (3, "finished.completed")]
        assert await history(leader, "00000000000000cc") == []


async def test_a_stream_tells_what_is_in_it(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        assert await state(connection, s.REQUESTS_STREAM) == {
            "messages": 0, "bytes": 0, "first_seq": 0, "last_seq": 0, "num_subjects": 0,
        }  # fmt: skip
        sizes = []
        for headers in (None, {"Some": "header"}):
            await connection.store(s.task_write("a", f"{headers is None}"), b"0123456789", headers)
            sizes.append((await state(connection, s.TASKS_STREAM))["bytes"])
        name = len(s.task("a", "True"))
        assert sizes == [name + 40, name + 40 + name + 1 + 40 + 4 + len("NATS/1.0\r\nSome: header\r\n\r\n")]
        told = await connection.api(f"STREAM.INFO.{s.TASKS_STREAM}")
        assert told["cluster"]["leader"]
        connection.clock.observe(told["ts"])


async def test_ensuring_streams_twice_finds_no_drift_and_a_different_one_is_refused(broker: AnyBroker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        assert await topology.ensure(admin, BrokerSettings()) == []
        (drift,) = await topology.ensure(admin, BrokerSettings(tasks_bytes_max=12345678))
        assert drift.startswith("TASKS.max_bytes is")
        with pytest.raises(ApiRefused) as caught:
            await admin.api("STREAM.CREATE.TASKS", {"name": "TASKS", "subjects": [s.TASKS_WRITE_ALL]})
        assert caught.value.code == 10058


async def test_consumers_are_listed_by_name(broker: AnyBroker) -> None:
    from tests.sim.contract.raw import EPHEMERAL, consumer

    async with broker.connected(Role.COORDINATOR) as connection:
        assert (await connection.api(f"CONSUMER.NAMES.{s.EVENTS_STREAM}"))["consumers"] == []
        for name in ("facts-2", "claim-1", "follow-3"):
            await consumer(connection, s.EVENTS_STREAM, name, s.EVENTS_ALL, **EPHEMERAL)
        told = await connection.api(f"CONSUMER.NAMES.{s.EVENTS_STREAM}")
        assert (sorted(told["consumers"]), told["total"]) == (["claim-1", "facts-2", "follow-3"], 3)
