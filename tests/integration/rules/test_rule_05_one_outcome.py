"""Rule 5: a task ends once, and a deposed leader can't end a live one."""

from coordinator import moves
from schemas.lifecycle import Outcome
from tests.harness.broker import Broker
from tests.harness.leader import bare_term, coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually, stays
from tests.integration.rules.test_rule_02_places import TASK, a_row


async def test_of_two_completions_the_first_counts(broker: Broker) -> None:
    async with (
        recording(broker) as seen,
        scripted_node(broker, "node-1") as one,
        scripted_node(broker, "node-2") as two,
    ):
        assert await one.complete(a_row())
        assert not await two.complete(a_row())
        await seen.outcome(TASK)
        assert [event.kind for event in seen.outcomes(TASK)] == ["finished.completed"]


async def test_a_deposed_leader_cannot_end_a_live_task(broker: Broker) -> None:
    async with (
        bare_term(broker, "deposed", epoch=1) as old,
        bare_term(broker, "leader", epoch=2) as new,
        recording(broker) as seen,
        scripted_node(broker) as node,
    ):
        created = await old.cas(a_row(), 0)
        assert created is not None
        await new.refresh(TASK)
        placed = await new.move(moves.placed(created.row, "node-1", "i"), created.sequence)
        assert placed is not None
        # It wakes up and still believes that the task must fail.
        change = moves.ended(created.row, Outcome.FAILED, "yesterday's decision")
        assert not await old.apply(created, change)
        assert await node.complete(placed.row)
        await seen.outcome(TASK)
        assert seen.kinds(TASK) == ["finished.completed"]


async def test_a_completion_that_came_first_beats_a_cancel(broker: Broker) -> None:
    async with bare_term(broker) as term, recording(broker) as seen, scripted_node(broker) as node:
        created = await term.cas(a_row(), 0)
        assert created is not None
        assert await node.complete(created.row)
        await term.apply(created, moves.ended(created.row, Outcome.CANCELLED, "as asked"))
        await seen.outcome(TASK)
        assert seen.kinds(TASK) == ["finished.completed"]
        assert await term.table.rows(TASK) == []


async def test_whoever_leads_finishes_what_was_ending(broker: Broker) -> None:
    async with bare_term(broker, "crashed") as term:
        created = await term.cas(a_row(), 0)
        assert created is not None
        end = moves.ended(created.row, Outcome.FAILED, "no such file")
        assert await term.cas(end.row, created.sequence) is not None  # … and then it died
    async with recording(broker) as seen, coordinator(broker, "next") as leader:
        assert (await seen.outcome(TASK)).kind == "finished.failed"
        await eventually(lambda: leader.leads and len(leader.term.book) == 0)
        await stays(lambda: len(seen.outcomes(TASK)) == 1, for_s=0.5)


async def test_the_first_whole_file_wins_whichever_attempt_it_came_from(broker: Broker) -> None:
    async with (
        recording(broker) as seen,
        scripted_node(broker, "node-1") as one,
        producer(broker) as ann,
        coordinator(broker) as leader,
    ):
        task = await ann.submit()
        first = await one.gets(task)
        async with scripted_node(broker, "node-2") as two:
            one.beating = False  # lost to the cluster, but still downloading
            second = await two.gets(task, attempt=2)
            assert await one.complete(first)
            await seen.outcome(task)
            assert not await two.complete(second)
            await eventually(lambda: task not in leader.term.book)
            await eventually(lambda: any(hint[0] == task for hint in two.hints))
            assert len(seen.outcomes(task)) == 1
