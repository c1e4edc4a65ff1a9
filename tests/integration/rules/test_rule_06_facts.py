"""Rule 6: what a node reported is acted on, also by a coordinator that was not there."""

from coordinator import follow, moves
from schemas.event import AttemptFailed, Failed, Retrying
from schemas.task import HISTORY_MAX, FailureClass
from tests.harness.broker import Broker
from tests.harness.leader import bare_term, coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually
from tests.integration.rules.test_rule_02_places import TASK, a_row


async def test_a_failure_reported_while_nobody_led_is_acted_on_at_takeover(broker: Broker) -> None:
    async with producer(broker) as ann, recording(broker) as seen, scripted_node(broker) as node:
        async with coordinator(broker, "first"):
            task = await ann.submit()
            row = await node.gets(task)
        await node.fail(row, FailureClass.PERMANENT)
        async with coordinator(broker, "second"):
            assert (await seen.outcome(task)).kind == "finished.failed"


async def test_a_completion_reported_while_nobody_led_is_not_run_again(broker: Broker) -> None:
    async with producer(broker) as ann, recording(broker), scripted_node(broker) as node:
        async with coordinator(broker, "first"):
            task = await ann.submit()
            row = await node.gets(task)
        await node.complete(row)
        node.rows.clear()
        async with coordinator(broker, "second") as leader:
            await leader.until_leading()
            assert task not in leader.term.book
            marker = await ann.submit()
            await node.gets(marker)
            assert [row.task for row in node.every_row] == [task, marker]


async def test_a_fact_in_a_deposed_leaders_hands_comes_to_its_successor_at_once(broker: Broker) -> None:
    from broker import pull
    from schemas import subjects as s

    async with bare_term(broker, "old", epoch=1) as old, scripted_node(broker) as node:
        created = await old.cas(a_row(), 0)
        assert created is not None
        placed = await old.move(moves.placed(created.row, "node-1", "i"), created.sequence)
        assert placed is not None
        await node.fail(placed.row)
        name = await follow.open_consumer(old)
        async with pull.reading(old.connection, s.EVENTS_STREAM, name, batch=10) as reader:
            assert await reader.next() is not None  # taken, and never acked
            async with bare_term(broker, "new", epoch=2) as new:
                await follow.drain(new)
                top = await new.refresh(TASK)
                assert top is not None
                assert (top.row.place, top.row.attempt) == ("queued", 2)


async def test_a_fact_is_not_dropped_because_the_view_is_stale(broker: Broker) -> None:
    """The outcome of a placement may arrive before the leader knows of its own write."""
    async with (
        bare_term(broker, "writer") as writer,
        bare_term(broker, "stale") as stale,
        scripted_node(broker) as node,
    ):
        created = await writer.cas(a_row(), 0)
        assert created is not None
        stale.book.learn(created)
        placed = await writer.move(moves.placed(created.row, "node-1", "i"), created.sequence)
        assert placed is not None
        fact = AttemptFailed(
            **writer.about(placed.row), node=node.name, failure=FailureClass.TRANSIENT, reason="as told"
        )
        await follow.act(stale, fact, writer=node.name)
        top = await writer.refresh(TASK)
        assert top is not None
        assert (top.row.place, top.row.attempt) == ("queued", 2)
        assert stale.oddities.total() == 0


async def test_repeated_old_and_foreign_facts_change_nothing(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker, "node-1") as node,
        scripted_node(broker, "node-2", tags=("other",), slots=1) as stranger,
        coordinator(broker) as leader,
    ):
        await leader.until_leading()
        task = await ann.submit(tags=[])
        holder = await eventually(lambda: node if task in node.rows else stranger if task in stranger.rows else None)
        other = stranger if holder is node else node
        row = await holder.gets(task)
        await other.fail(row, FailureClass.PERMANENT)
        await holder.fail(row)
        await seen.sees("retrying", task)
        await holder.fail(row, FailureClass.PERMANENT)  # the same attempt once more
        again = await eventually(
            lambda: next((r for n in (node, stranger) for q, r in n.rows.values() if r.attempt == 2), None)
        )
        await eventually(lambda: leader.term.oddities.total() == 2)
        assert not seen.outcomes(task)
        assert again.failures == 1


async def test_retries_wait_for_what_the_origin_asked_and_end_after_max_attempts(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker),
    ):
        task = await ann.submit(max_attempts=3)
        await node.fail(await node.gets(task), retry_after_s=0.7)
        retrying = await seen.sees("retrying", task)
        assert isinstance(retrying, Retrying)
        assert retrying.next_in_s >= 0.7
        await node.fail(await node.gets(task, attempt=2))
        await node.fail(await node.gets(task, attempt=3))
        outcome = await seen.outcome(task)
        assert outcome.kind == "finished.failed"
        assert [record.attempt for record in outcome.history] == [1, 2, 3]  # type: ignore[union-attr]
        assert "attempt 3 of 3" in outcome.reason  # type: ignore[union-attr]


async def test_an_exhausted_task_tells_of_its_last_attempts_and_how_many_came_before(broker: Broker) -> None:
    tries = HISTORY_MAX + 5
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker),
    ):
        task = await ann.submit(max_attempts=tries)
        row = await node.gets(task)
        await node.release(row)  # an attempt that does not count
        for attempt in range(2, tries + 2):
            await node.fail(await node.gets(task, attempt=attempt), FailureClass.NODE)
        failed = await seen.outcome(task)
        assert isinstance(failed, Failed)
        assert (failed.attempt, failed.history_cut) == (tries + 1, tries + 1 - HISTORY_MAX)
        assert [record.attempt for record in failed.history] == list(range(tries + 2 - HISTORY_MAX, tries + 2))
        assert {record.node for record in failed.history} == {node.name}
        assert f"attempt {tries} of {tries}" in failed.reason
