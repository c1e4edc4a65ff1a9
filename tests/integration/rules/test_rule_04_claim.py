"""Rule 4: row, then outcome, then ack; so that no crash loses a request and no repeat runs again."""

from broker import consumers, pull
from broker.connection import Connection
from broker.errors import ApiRefused
from broker.roles import Role
from coordinator import claim, feed
from coordinator.headroom import Headroom
from schemas import subjects as s
from schemas.event import Rejected
from schemas.ids import task_id
from tests.harness.broker import Broker
from tests.harness.leader import bare_term, coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually, stays


async def test_a_claim_that_crashed_before_its_ack_makes_no_second_task(broker: Broker) -> None:
    async with producer(broker) as ann:
        task = await ann.submit()
        async with bare_term(broker, "crashed", epoch=1) as term:
            name = await claim.open_consumer(term)
            async with pull.reading(term.connection, s.REQUESTS_STREAM, name, batch=1) as reader:
                delivery = await reader.next()
                assert delivery is not None
                await claim.claim(term, [delivery])  # … and no ack
        async with recording(broker) as seen, scripted_node(broker) as node, coordinator(broker, "next") as leader:
            await leader.until_leading()
            await node.complete(await node.gets(task))
            await seen.outcome(task)
            await eventually(lambda: len(leader.term.book) == 0)
            await eventually(lambda: _inbox_is_empty(leader.term.connection), what="the request is acked")
            assert len(node.every_row) == 1


async def test_a_request_redelivered_after_the_end_runs_no_second_time(broker: Broker) -> None:
    async with producer(broker) as ann, recording(broker) as seen, scripted_node(broker) as node:
        async with coordinator(broker, "first"):
            task = await ann.submit()
            await node.complete(await node.gets(task))
            await seen.outcome(task)
        await ann.submit(id="job-1")
        async with coordinator(broker, "second") as leader:
            await leader.until_leading()
            marker = await ann.submit()
            await node.gets(marker)
            assert task not in leader.term.book
            assert [row.task for row in node.every_row] == [task, marker]


async def test_a_deposed_leaders_ack_takes_nothing_from_its_successor(broker: Broker) -> None:
    async with producer(broker) as ann, bare_term(broker, "old", epoch=1) as old, bare_term(broker, "new", 2) as new:
        await ann.submit()
        old_name = await claim.open_consumer(old)
        async with pull.reading(old.connection, s.REQUESTS_STREAM, old_name, batch=1) as old_reader:
            taken = await old_reader.next()
            assert taken is not None
            new_name = await claim.open_consumer(new)
            await old_reader.ack(taken)
            async with pull.reading(new.connection, s.REQUESTS_STREAM, new_name, batch=1) as new_reader:
                assert (await new_reader.next()) is not None


async def test_bad_requests_end_rejected_once_and_are_not_delivered_again(broker: Broker) -> None:
    bodies = {
        b"not json": "not JSON",
        b"{}": "uris: at least one address is needed",
        b'{"uris": ["gopher://x/y"]}': "scheme 'gopher' is not allowed",
        b'{"uris": ["http://x/"], "priority": 11}': "priority: must be a whole number from -10 to 10",
        b'{"uris": ["http://x/"], "out": "../../etc/passwd"}': "must not leave the download folder",
        b'{"uris": ["http://x/"], "options": {"all-proxy": "http://evil"}}': "not an option a request may set",
        b"\xff\xfe\x00": "not JSON",
    }
    async with recording(broker) as seen, producer(broker) as ann, coordinator(broker) as leader:
        await leader.until_leading()
        for body in bodies:
            await ann.publish(body)
        await eventually(lambda: len(seen.outcomes()) == len(bodies))
        reasons = [event.reason for event in seen.outcomes() if isinstance(event, Rejected)]
        for expected in bodies.values():
            assert any(expected in reason for reason in reasons), (expected, reasons)
        info = await eventually(lambda: _empty_inbox(leader.term.connection))
        assert info
        await feed.audit(leader.term)
        assert len(leader.term.book) == 0


async def test_a_header_that_looks_like_the_servers_own_status_is_just_a_header(broker: Broker) -> None:
    async with recording(broker) as seen, producer(broker) as ann, coordinator(broker) as leader:
        await leader.until_leading()
        await ann.publish(b"", {"Status": "503", "Description": "planted"})
        rejected = await seen.sees("finished.rejected", within_s=5)
        assert isinstance(rejected, Rejected)
        await eventually(lambda: _empty_inbox(leader.term.connection))


async def test_the_same_delivery_twice_in_hand_harms_nobody(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        broker.connected(Role.ADMIN) as admin,
        scripted_node(broker) as node,
        coordinator(broker) as leader,
    ):
        term = await leader.until_leading()
        task = task_id("default", "id:held")
        async with term.only(task):
            await ann.submit(id="held")
            await eventually(lambda: _in_hand(admin, f"claim-{term.tag}"))
            # Made anew by the leader, it delivers the request again under the very same ack subject.
            await consumers.delete(admin, s.REQUESTS_STREAM, f"claim-{term.tag}")
            await eventually(lambda: _in_hand(admin, f"claim-{term.tag}"), within_s=15)
        await node.gets(task)
        assert leader.leads
        assert len(node.every_row) == 1


async def _in_hand(connection: Connection, consumer: str) -> bool:
    try:
        info = await connection.api(f"CONSUMER.INFO.{s.REQUESTS_STREAM}.{consumer}")
    except ApiRefused:
        return False
    return bool(info["num_ack_pending"])


async def _empty_inbox(connection) -> bool:  # type: ignore[no-untyped-def]
    info = await connection.api(f"STREAM.INFO.{s.REQUESTS_STREAM}")
    return bool(info["state"]["messages"] == 0)


async def test_claiming_stops_before_the_table_is_full(broker: Broker) -> None:
    async with broker.connected(Role.ADMIN) as admin:
        info = await admin.api(f"STREAM.INFO.{s.TASKS_STREAM}")
        config = info["config"] | {"max_bytes": 20_000}
        await admin.api(f"STREAM.UPDATE.{s.TASKS_STREAM}", config)
    async with bare_term(broker) as term, producer(broker) as ann:
        assert await Headroom(term).look() > 0
        async with coordinator(broker) as leader:
            await leader.until_leading()
            for _ in range(60):
                await ann.submit(name="x" * 200)
            await eventually(lambda: len(leader.term.book) > 10)
            await stays(lambda: len(leader.term.book) < 60, for_s=1.0, what="the rest waits in the inbox")
            state = (await term.connection.api(f"STREAM.INFO.{s.TASKS_STREAM}"))["state"]
            assert state["bytes"] <= 0.8 * 20_000


async def _inbox_is_empty(connection: Connection) -> bool:
    info = await connection.api(f"STREAM.INFO.{s.REQUESTS_STREAM}")
    return int(info["state"]["messages"]) == 0
