"""Rule 10: a node is lost when it is silent while we listened, and only then."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest
from msgspec.structs import replace

from coordinator import place, watch
from coordinator.snapshot import Placement
from schemas.event import Retrying
from tests.harness.broker import QUICK, Broker
from tests.harness.leader import coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually, stays


async def test_a_lost_nodes_tasks_go_to_another_and_use_up_no_attempt(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker, "node-1") as one,
        coordinator(broker),
    ):
        task = await ann.submit(max_attempts=1)
        await one.gets(task)
        async with scripted_node(broker, "node-2") as two:
            one.beating = False
            row = await two.gets(task, attempt=2)
            assert row.failures == 0
            retrying = await seen.sees("retrying", task)
            assert isinstance(retrying, Retrying)
            assert "node-1 was lost" in retrying.reason
            assert not retrying.counted


async def test_a_task_past_its_deadline_on_a_lost_node_still_ends(broker: Broker) -> None:
    async with producer(broker) as ann, recording(broker) as seen, scripted_node(broker) as node, coordinator(broker):
        deadline = datetime.now(UTC) + timedelta(seconds=1.5)
        task = await ann.submit(deadline=deadline.isoformat())
        await node.gets(task)
        await eventually(lambda: node.rows[task][1].desired == "cancel")
        node.beating = False
        outcome = await seen.outcome(task, within_s=8)
        assert (outcome.kind, outcome.code) == ("finished.failed", "deadline")  # type: ignore[union-attr]


async def test_tasks_in_the_queue_end_at_their_deadline_however_many_at_once(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BEGUN_MAX", 2)
    async with producer(broker) as ann, recording(broker) as seen:
        async with coordinator(broker, "first") as first:
            await first.until_leading()
            deadline = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
            tasks = [await ann.submit(tags=["nobody"], deadline=deadline) for _ in range(7)]
            later = await ann.submit(tags=["nobody"], deadline="2100-01-01T00:00:00Z")
            await eventually(lambda: len(first.term.book) == 8)
        async with coordinator(broker, "second") as second:
            for task in tasks:
                outcome = await seen.outcome(task, within_s=20)
                assert (outcome.kind, outcome.code) == ("finished.failed", "deadline")  # type: ignore[union-attr]
            assert later in second.term.book


async def test_a_node_that_keeps_beating_keeps_its_task(broker: Broker) -> None:
    async with producer(broker) as ann, scripted_node(broker) as node, coordinator(broker):
        task = await ann.submit()
        await node.gets(task)
        await stays(lambda: node.rows[task][1].attempt == 1, for_s=3 * QUICK.node_lost_after_s)


async def test_a_new_leader_moves_nothing_before_a_full_time_out_of_its_own(broker: Broker) -> None:
    settings = replace(QUICK, node_lost_after_s=2.0)
    async with producer(broker) as ann, scripted_node(broker) as node:
        async with coordinator(broker, "first", settings):
            task = await ann.submit()
            await node.gets(task)
            node.beating = False
        # Nobody heard it for a while; the next leader must not count that.
        async with coordinator(broker, "second", settings) as second:
            term = await second.until_leading()
            await stays(lambda: (top := term.book.top(task)) is not None and top.row.place == "node-1", for_s=1.5)
            await eventually(lambda: (top := term.book.top(task)) is not None and top.row.place == "queued")


async def test_a_gap_in_the_leaders_own_loop_starts_the_count_afresh(broker: Broker) -> None:
    import time

    async with producer(broker) as ann, scripted_node(broker) as node, coordinator(broker) as leader:
        task = await ann.submit()
        await node.gets(task)
        term = await leader.until_leading()
        time.sleep(2.5 * QUICK.node_lost_after_s)  # noqa: ASYNC251 - the whole process stands still
        await stays(
            lambda: (top := term.book.top(task)) is not None and top.row.attempt == 1,
            for_s=1.0,
            what="a coordinator that slept declared a living node lost",
        )


async def test_a_leaving_node_is_given_nothing_more(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        scripted_node(broker, "node-1") as one,
        scripted_node(broker, "node-2") as two,
        coordinator(broker) as leader,
    ):
        term = await leader.until_leading()
        await eventually(lambda: len(list(term.fleet)) == 2)
        one.beating = False
        await one.beat(leaving=True)
        await eventually(lambda: (seen := term.fleet.get("node-1")) is not None and seen.heartbeat.leaving)
        for _ in range(6):
            task = await ann.submit()
            await two.gets(task)
        assert not one.every_row


async def test_a_task_that_comes_after_its_deadline_never_starts(broker: Broker) -> None:
    async with producer(broker) as ann, recording(broker) as seen, scripted_node(broker) as node:
        gone = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        while_none_leads = await ann.submit(deadline=gone)
        async with coordinator(broker) as leader:
            await leader.until_leading()
            others = [await ann.submit(deadline=gone), while_none_leads]
            for task in others:
                outcome = await seen.outcome(task)
                assert (outcome.kind, outcome.code) == ("finished.failed", "deadline")  # type: ignore[union-attr]
                assert outcome.reason == "the deadline has passed"  # type: ignore[union-attr]
                assert task not in [row.task for row in node.every_row]
                assert "assigned" not in seen.kinds(task)


async def test_a_deadline_that_passes_while_a_busy_leader_places_is_kept(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker) as one,
    ):
        term = await one.until_leading()
        deadline = datetime.now(UTC) + timedelta(seconds=2)
        task = await ann.submit(tags=["nobody"], deadline=deadline.isoformat())
        await eventually(lambda: task in term.book)
        top = term.book.top(task)
        assert top is not None
        async with anyio.create_task_group() as tasks, term.only(task):
            tasks.start_soon(place._place_all, term, [Placement(task, top.sequence, node.name, "", "")])
            await eventually(lambda: term.now() > deadline)
        outcome = await seen.outcome(task)
        assert (outcome.kind, outcome.code) == ("finished.failed", "deadline")  # type: ignore[union-attr]
        assert not node.every_row
