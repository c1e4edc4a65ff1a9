"""Rule 11: a leader places nothing that it did not vouch for without asking how it ended."""

from collections.abc import AsyncIterator

import anyio
import pytest

from broker import consumers, pull
from broker.client import Handed, at_once
from broker.errors import ConsumerGone, Unanswered
from broker.roles import Role
from broker.table import Table
from coordinator import feed
from schemas import subjects as s
from schemas.ids import task_id
from schemas.lifecycle import State
from schemas.task import FailureClass
from tests.harness.broker import Broker
from tests.harness.leader import bare_term, coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually
from tests.integration.rules.test_rule_02_places import TASK, a_row


async def test_a_row_that_rose_again_after_its_end_is_deleted_and_not_placed(broker: Broker) -> None:
    async with (
        recording(broker) as seen,
        scripted_node(broker) as node,
        producer(broker) as ann,
        coordinator(broker) as leader,
        bare_term(broker, "zombie", epoch=999) as zombie,
    ):
        term = await leader.until_leading()
        assert await node.complete(a_row())
        await seen.outcome(TASK)
        # A leader that was deposed long ago finishes its create only now.
        assert await zombie.cas(a_row(), 0) is not None
        await eventually(lambda: _is_gone(zombie))
        marker = await ann.submit()
        await node.gets(marker)
        assert [row.task for row in node.every_row] == [marker]
        assert TASK not in term.book


async def _is_gone(term) -> bool:  # type: ignore[no-untyped-def]
    return bool(await term.table.rows(TASK) == [])


async def _is_cleared(table: Table, task: str) -> bool:
    return await table.rows(task) == []


async def test_a_row_left_by_an_earlier_leader_is_placed_after_its_outcome_was_read(broker: Broker) -> None:
    async with bare_term(broker, "gone") as term:
        assert await term.cas(a_row(), 0) is not None
    async with scripted_node(broker) as node, coordinator(broker, "next"):
        row = await node.gets(TASK)
        assert row.writer == "next"


async def test_an_audit_learns_what_the_feed_missed_and_forgets_what_is_gone(broker: Broker) -> None:
    async with bare_term(broker, "reader") as reader, bare_term(broker, "writer") as writer:
        kept = await writer.cas(a_row("00000000000000b1"), 0)
        gone = await writer.cas(a_row("00000000000000b2"), 0)
        assert kept is not None
        assert gone is not None
        await feed.audit(reader)
        assert set(reader.book.tasks()) == {"00000000000000b1", "00000000000000b2"}
        await writer.table.delete_all((gone.sequence,))
        await feed.audit(reader)
        assert set(reader.book.tasks()) == {"00000000000000b1"}


async def test_an_audit_learns_what_stands_again_after_the_broker_was_killed(broker: Broker) -> None:
    """What another row replaced, and that one was deleted: nothing on the broker's disk says that it is gone."""
    async with bare_term(broker) as term:
        await term.cas(a_row("00000000000000b1"), 0)  # the broker forgets all of a stream that was empty
        first = await term.cas(a_row(), 0)
        assert first is not None
        assert await term.cas(a_row(), first.sequence) is not None
        await term.clear(TASK)
        assert TASK not in term.book
        await broker.restart()
        assert await term.connection.until_connected(within_s=10)
        await feed.audit(term)
        assert [stored.sequence for stored in term.book.all(TASK)] == [first.sequence]
        assert first.sequence not in term.book.vouched


async def test_a_row_that_stands_again_after_the_broker_was_killed_is_deleted_and_not_placed(broker: Broker) -> None:
    async with (
        recording(broker) as seen,
        producer(broker) as ann,
        scripted_node(broker) as node,
        broker.connected(Role.COORDINATOR) as reader,
    ):
        table = Table(reader)
        async with coordinator(broker, "first"):
            goes_on, fails = await ann.submit(), await ann.submit()
            await node.gets(goes_on)
            await node.fail(await node.gets(fails), FailureClass.PERMANENT)
            await seen.outcome(fails)
            await eventually(lambda: _is_cleared(table, fails))
        await broker.restart()
        assert await reader.until_connected(within_s=10)
        assert [found.row.state for found in await table.rows(fails)] == [State.ASSIGNED]
        async with coordinator(broker, "next"):
            await eventually(lambda: _is_cleared(table, fails))
        assert seen.kinds(fails).count("finished.failed") == 1
        assert seen.kinds(fails).count("assigned") == 1


async def test_a_row_that_can_not_be_read_is_left_alone_and_stops_nobody(broker: Broker) -> None:
    task = task_id("default", "id:future")
    async with broker.connected(Role.ADMIN) as admin:
        await admin.store(s.task_write("queued", task), b'{"task": "from a later version", "state": "dreaming"}')
    async with producer(broker) as ann, scripted_node(broker) as node, coordinator(broker) as leader:
        await leader.until_leading()
        await ann.submit(id="future")  # the very task that can't be read
        fine = await ann.submit(id="fine")
        await node.gets(fine)
        assert leader.leads


async def test_a_reading_that_ends_half_way_drops_nothing(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "SNAPSHOT_BATCH", 10)
    read_on, batches_before = pull.Snapshot.batches, 3

    async def batches(self: pull.Snapshot) -> AsyncIterator[list[pull.Delivery]]:
        number = 0
        async for batch in read_on(self):
            yield batch
            number += 1
            if number == batches_before:  # the broker forgets the consumer, as one does that restarts
                for name in (await reader.connection.api("CONSUMER.NAMES.TASKS"))["consumers"]:
                    await consumers.delete(reader.connection, s.TASKS_STREAM, name)

    async with bare_term(broker, "reader") as reader, bare_term(broker, "writer") as writer:
        stored = [await writer.cas(a_row(f"{number + 1:016x}"), 0) for number in range(100)]
        await feed.audit(reader)
        known = set(reader.book.tasks())
        gone = [one for one in stored if one is not None][50:]
        await writer.table.delete_all([one.sequence for one in gone])
        with monkeypatch.context() as breaking:
            breaking.setattr(pull.Snapshot, "batches", batches)
            with pytest.raises(ConsumerGone):
                await feed._read(reader, reader.book.audit(), await reader.table.mark())
        assert len(known) == 100
        assert set(reader.book.tasks()) == known
        await feed.audit(reader)
        assert set(reader.book.tasks()) == known - {one.row.task for one in gone}


async def test_a_reading_of_which_something_was_lost_on_the_way_is_not_taken_for_a_whole_one(broker: Broker) -> None:
    async with bare_term(broker) as term:
        for index in range(400):
            await term.connection.publish(s.task_write("queued", f"{index + 1:016x}"), bytes(200))
        await term.table.mark()
        take, lost = pull.Pull.take, 200

        @at_once
        async def take_all_but_one(reader: pull.Pull, msg: Handed) -> None:
            nonlocal lost
            lost -= 1
            if lost:
                await take(reader, msg)

        with pytest.MonkeyPatch.context() as line:
            line.setattr(pull.Pull, "take", take_all_but_one)
            async with pull.snapshot(term.connection, s.TASKS_STREAM, s.TASKS_ALL) as found:
                with pytest.raises(Unanswered, match="lost on the way"):
                    await found.all()
        assert not found.is_whole


async def test_what_is_stored_after_a_reading_is_heard_of_without_another_one(broker: Broker) -> None:
    async with bare_term(broker, "reader") as reader, bare_term(broker, "writer") as writer:
        await writer.cas(a_row("00000000000000b1"), 0)
        read = await feed.audit(reader)
        await writer.cas(a_row("00000000000000b2"), 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed.feed_book, reader)
            await eventually(lambda: "00000000000000b2" in reader.book)
            tasks.cancel_scope.cancel()
        assert reader.reading is read


async def test_after_a_reconnect_the_table_is_read_whole_again(broker: Broker) -> None:
    async with bare_term(broker, "reader") as reader, anyio.create_task_group() as tasks:
        read = await feed.audit(reader)
        tasks.start_soon(feed.feed_book, reader)
        await broker.restart()
        await eventually(lambda: reader.reading is not read, within_s=30)
        tasks.cancel_scope.cancel()


async def test_a_reading_that_was_interrupted_is_not_taken_for_a_whole_one(broker: Broker) -> None:
    async with bare_term(broker) as term:
        for index in range(pull.SNAPSHOT_BATCH + 1):
            await term.connection.publish(s.task_write("queued", f"{index + 1:016x}"), b"{}")
        await term.table.mark()
        async with pull.snapshot(term.connection, s.TASKS_STREAM, s.TASKS_ALL) as whole:
            assert len(await whole.all()) == pull.SNAPSHOT_BATCH + 2
        name = "interrupted"
        await consumers.create(
            term.connection, s.TASKS_STREAM, name, (s.TASKS_ALL,), deliver_policy="all", ack_policy="none"
        )
        async with pull.reading(term.connection, s.TASKS_STREAM, name, batch=pull.SNAPSHOT_BATCH) as reader:
            for _ in range(pull.SNAPSHOT_BATCH):
                assert await reader.next(no_wait=True) is not None
            reader.wake()  # as a reconnect does
            with pytest.raises(Unanswered, match="interrupted"):
                await reader.next(no_wait=True)
