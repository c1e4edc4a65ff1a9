"""The log is full, or the server's whole store: nothing ends meanwhile, nobody else waits, and it goes on by itself."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from broker import eventlog, topology
from broker.cluster import open_client
from broker.roles import Role
from coordinator import counting, intake
from schemas import subjects as s
from schemas.settings import BrokerSettings
from schemas.task import FailureClass
from tests.harness.broker import QUICK, STEADY, Broker, running_broker
from tests.harness.leader import coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually, stays
from tests.integration.control.steps import answering
from tests.integration.full.limits import fill_up, limit, stats
from tools.doctor.findings import Status
from tools.doctor.judge_fleet import judge_stores

MIB = 1 << 20
SHORT_LEASE = replace(QUICK, lease_ttl_s=2)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "FULL_RETRY_S", 0.2)
    monkeypatch.setattr(eventlog, "FULL_RETRY_S", 0.2)
    monkeypatch.setattr(counting, "KEEP_S", 0.0)


async def test_many_are_cancelled_while_the_log_is_full_and_end_when_there_is_room(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        broker.connected(Role.ADMIN) as admin,
        recording(broker) as seen,
        coordinator(broker, settings=STEADY) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        ids = [await ann.submit() for _ in range(30)]
        await eventually(lambda: len(leader.term.book) == 30)
        await fill_up(admin, s.EVENTS_STREAM)
        results = (await client.steer("cancel", tuple(ids))).results
        assert {(one.ok, one.said) for one in results} == {(True, "being cancelled")}
        await limit(admin, s.EVENTS_STREAM, 4 * MIB)
        await eventually(lambda: len(seen.outcomes()) == 30, within_s=20)


async def test_one_end_that_waits_for_the_log_holds_nobody_else_up(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        broker.connected(Role.ADMIN) as admin,
        recording(broker) as seen,
        scripted_node(broker, "node-1") as one,
        coordinator(broker, settings=STEADY) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        broken, stays_there = await ann.submit(), await ann.submit()
        row = await one.gets(broken)
        await one.gets(stays_there)
        await one.fail(row, FailureClass.PERMANENT)
        await fill_up(admin, s.EVENTS_STREAM)
        await ann.publish(b"not a request")
        # Its end was reported before; whether that was stored or not, these go on:
        async with scripted_node(broker, "node-2") as two:
            later = await ann.submit()
            await eventually(lambda: later in one.rows or later in two.rows, what="claimed and placed")
            one.beating = False
            await two.gets(stays_there, attempt=2)
            refusing = judge_stores(await stats(client))
            assert (refusing.status, s.EVENTS_STREAM in refusing.found) == (Status.PROBLEM, True)
            await limit(admin, s.EVENTS_STREAM, -1)
            await seen.sees("finished.rejected")
            assert (await seen.outcome(broken)).kind == "finished.failed"
            await two.complete(two.rows[stays_there][1])
            await seen.outcome(stays_there)


async def test_a_completion_waits_for_room_and_then_counts(broker: Broker) -> None:
    import anyio

    async with (
        producer(broker) as ann,
        broker.connected(Role.ADMIN) as admin,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker, settings=STEADY) as leader,
        anyio.create_task_group() as tasks,
    ):
        task = await ann.submit()
        row = await node.gets(task)
        await fill_up(admin, s.EVENTS_STREAM)
        tasks.start_soon(node.complete, row)
        await stays(lambda: not seen.outcomes() and task in leader.term.book, for_s=0.5)
        await limit(admin, s.EVENTS_STREAM, -1)
        await seen.outcome(task)
        await eventually(lambda: task not in leader.term.book)


async def test_a_leader_goes_on_leading_while_the_servers_store_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease can't be renewed either: but nobody else could take it, and it is the one who makes room."""
    settings = BrokerSettings(requests_bytes_max=MIB, tasks_bytes_max=MIB)
    monkeypatch.setattr(topology, "PAYLOADS_BYTES_MAX", MIB)  # what a stream may hold is set aside for it at once
    async with (
        running_broker(tmp_path / "broker", with_streams=False, jetstream="max_file_store: 20MB") as broker,
        broker.connected(Role.ADMIN) as admin,
    ):
        await topology.ensure(admin, settings)
        async with (
            producer(broker) as ann,
            recording(broker) as seen,
            scripted_node(broker) as node,
            coordinator(broker, settings=SHORT_LEASE) as leader,
            open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
        ):
            await answering(leader, client)
            term = leader.term
            task = await ann.submit()
            row = await node.gets(task)
            filler = s.event_write("f" * 16, "queued", "filler")
            await _until_refused(admin, filler)
            await stays(lambda: leader.leads and leader.term is term, for_s=3.0 * SHORT_LEASE.lease_ttl_s)
            assert judge_stores(await stats(client)).status is Status.PROBLEM
            await admin.api(f"STREAM.PURGE.{s.EVENTS_STREAM}", {"filter": s.task_events("f" * 16)})
            await node.complete(row)
            await seen.outcome(task)
            await leader.until_leading()
            again = await ann.submit()
            await node.complete(await node.gets(again))
            await seen.outcome(again)


async def _until_refused(admin, subject: str) -> None:  # type: ignore[no-untyped-def]
    from broker.errors import StoreFull

    with pytest.raises(StoreFull, match="insufficient resources"):
        while True:
            await admin.store(subject, b"x" * 500_000)
