"""Rule 1: a request finds its task again however often it comes, and nobody else's."""

import json

import pytest

from broker.errors import ApiRefused
from coordinator.claim import first_row
from schemas import subjects as s
from schemas.ids import task_id
from tests.harness.broker import Broker
from tests.harness.leader import coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually


async def test_the_same_id_from_one_owner_is_one_task_and_from_two_owners_two(broker: Broker) -> None:
    async with (
        recording(broker) as seen,
        scripted_node(broker) as node,
        producer(broker, "ann") as ann,
        producer(broker, "bob") as bob,
        coordinator(broker),
    ):
        first = await ann.submit(id="job-1")
        again = await ann.submit(id="job-1")
        other = await bob.submit(id="job-1")
        assert first == again != other
        for task in (first, other):
            await node.complete(await node.gets(task))
            await seen.outcome(task)
        late = await ann.submit(id="job-1")
        marker = await ann.submit(id="job-2")
        await seen.sees("queued", marker)
        assert late == first
        assert [row.task for row in node.every_row].count(first) == 1
        assert len(seen.outcomes(first)) == 1


async def test_a_repeat_after_a_broker_restart_is_downloaded_once(broker: Broker) -> None:
    async with recording(broker) as seen, scripted_node(broker) as node, producer(broker) as ann, coordinator(broker):
        task = await ann.submit(id="job-1")
        await node.complete(await node.gets(task))
        await seen.outcome(task)
        await broker.restart()
        await eventually(lambda: ann.connection.is_connected and node.connection.is_connected)
        await ann.submit(id="job-1")
        marker = await ann.submit(id="after")
        await node.gets(marker, within_s=20)
        assert [row.task for row in node.every_row].count(task) == 1


async def test_the_message_id_header_serves_where_there_is_no_id_field(broker: Broker) -> None:
    async with recording(broker) as seen, producer(broker, "ann") as ann, coordinator(broker):
        body = b'{"uris": ["http://origin.invalid/f"]}'
        await ann.publish(body, {s.MESSAGE_ID: "m-1"})
        queued = await seen.sees("queued")
        assert queued.task == task_id("ann", "id:m-1")


async def test_a_redelivered_request_without_any_id_is_the_same_task(broker: Broker) -> None:
    """The id comes from where the inbox stored it, so a claim that died before its ack makes no second task."""
    from broker import pull
    from coordinator import claim
    from tests.harness.leader import bare_term

    async with bare_term(broker, epoch=1) as first, bare_term(broker, "c2", epoch=2) as second, producer(broker) as ann:
        await ann.publish(b'{"uris": ["http://origin.invalid/f"]}')
        rows = []
        for term in (first, second):
            name = await claim.open_consumer(term)
            async with pull.reading(term.connection, s.REQUESTS_STREAM, name, batch=1) as reader:
                delivery = await reader.next()
                assert delivery is not None
                rows.append(first_row(delivery))
                assert delivery.delivered == 1
        assert rows[0].task == rows[1].task


async def test_a_stream_created_anew_does_not_give_old_ids_again(broker: Broker) -> None:
    from broker import topology
    from broker.roles import Role
    from schemas.settings import BrokerSettings

    body = b'{"uris": ["http://origin.invalid/f"]}'
    async with recording(broker) as seen, producer(broker) as ann:
        async with coordinator(broker):
            await ann.publish(body)
            await eventually(lambda: len(seen.events) == 1)
        async with broker.connected(Role.ADMIN) as admin:
            await admin.api(f"STREAM.DELETE.{s.REQUESTS_STREAM}")
            await topology.ensure(admin, BrokerSettings())
        async with coordinator(broker):
            assert await ann.publish(body) == 1
            await eventually(lambda: len(seen.events) == 2)
        assert len({event.task for event in seen.events}) == 2


async def test_a_corrected_request_is_no_repeat_of_the_rejected_one(broker: Broker) -> None:
    async with recording(broker) as seen, producer(broker) as ann, coordinator(broker):
        await ann.publish(json.dumps({"id": "job-1", "uris": []}).encode())
        rejected = await seen.sees("finished.rejected")
        task = await ann.submit(id="job-1")
        assert (await seen.sees("queued", task)).task != rejected.task


async def test_a_request_beyond_the_inbox_limit_is_refused_at_once(broker: Broker) -> None:
    async with producer(broker) as ann:
        with pytest.raises(ApiRefused, match="message size exceeds maximum allowed"):
            await ann.publish(b'{"uris": ["http://x/' + b"a" * 600 * 1024 + b'"]}')
