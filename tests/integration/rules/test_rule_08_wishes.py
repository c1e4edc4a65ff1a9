"""Rule 8: what is wished stands in the row; it survives everything, and an old wish is not carried out."""

from datetime import UTC, datetime, timedelta

import pytest

from broker.connection import Connection
from broker.roles import Role
from coordinator import watch
from schemas import codec
from schemas import subjects as s
from schemas.control import VERBS, Steer, Steered, SteerReply
from schemas.lifecycle import Desired
from schemas.task import TaskRow
from tests.harness.broker import Broker
from tests.harness.leader import coordinator
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually


async def ask(
    connection: Connection, caller: str, verb: str, *ids: str, deadline: datetime | None = None
) -> tuple[Steered, ...]:
    answer = await connection.request(s.control(caller, verb), codec.encode(Steer(ids=ids, deadline=deadline)))
    return codec.decode(answer.data, SteerReply).results


async def test_a_running_task_is_cancelled_by_asking_its_node(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker),
    ):
        task = await ann.submit()
        row = await node.gets(task)
        (result,) = await ask(ann.connection, "default", "cancel", task)
        assert (result.ok, result.said) == (True, "being cancelled")
        await eventually(lambda: node.rows[task][1].desired is Desired.CANCEL)
        assert not seen.outcomes(task), "only once the node has let go"
        await node.release(row, Desired.CANCEL)
        assert (await seen.outcome(task)).kind == "finished.cancelled"


async def test_a_queued_task_is_cancelled_at_once(broker: Broker) -> None:
    async with producer(broker) as ann, recording(broker) as seen, coordinator(broker) as leader:
        task = await ann.submit()
        await eventually(lambda: leader.leads and task in leader.term.book)
        (result,) = await ask(ann.connection, "default", "cancel", task)
        assert result.ok
        assert (await seen.outcome(task)).kind == "finished.cancelled"
        (again,) = await ask(ann.connection, "default", "cancel", task)
        assert (again.ok, again.said) == (False, "it is cancelled already")


async def test_a_pause_survives_its_coordinator(broker: Broker) -> None:
    async with producer(broker) as ann, recording(broker) as seen:
        async with coordinator(broker, "first") as first:
            task = await ann.submit()
            await eventually(lambda: first.leads and task in first.term.book)
            assert (await ask(ann.connection, "default", "pause", task))[0].ok
        async with coordinator(broker, "second") as second, scripted_node(broker) as node:
            await second.until_leading()
            marker = await ann.submit()
            await node.gets(marker)
            assert task not in node.rows, "paused: not placed"
            assert (await ask(ann.connection, "default", "resume", task))[0].ok
            await node.gets(task)
            assert seen.kinds(task)[:3] == ["queued", "paused", "resumed"]


async def test_an_answer_goes_to_an_inbox_and_nowhere_else(broker: Broker) -> None:
    """The caller names the subject of the answer; it must not be lent the coordinator's rights."""
    async with producer(broker, "eve") as eve, producer(broker, "bob") as bob, coordinator(broker) as leader:
        task = await bob.submit()
        await eventually(lambda: leader.leads and task in leader.term.book)
        before = await leader.term.table.top(task)
        for target in (s.task_write("queued", task), s.event_write(task, "finished.failed", "eve")):
            await eve.connection.publish(s.control("eve", "stats"), b"{}", reply=target)
        (mine,) = await ask(bob.connection, "bob", "pause", task)
        assert mine.ok, "the coordinator answers inboxes as before"
        assert await leader.term.events.outcome(task) is None
        after = await leader.term.table.top(task)
        assert before is not None
        assert after is not None
        assert after.row.owner == "bob"
        assert after.row.request == before.row.request


async def test_a_wish_past_its_own_deadline_is_not_carried_out(broker: Broker) -> None:
    async with producer(broker) as ann, coordinator(broker) as leader:
        task = await ann.submit()
        await eventually(lambda: leader.leads and task in leader.term.book)
        yesterday = datetime.now(UTC) - timedelta(days=1)
        (result,) = await ask(ann.connection, "default", "cancel", task, deadline=yesterday)
        assert not result.ok
        assert "too late" in result.said
        assert task in leader.term.book


async def test_an_owner_reaches_only_their_own_tasks_and_an_operator_all(broker: Broker) -> None:
    async with (
        producer(broker, "ann") as ann,
        producer(broker, "bob") as bob,
        broker.connected(Role.OPERATOR) as operator,
        coordinator(broker) as leader,
    ):
        task = await ann.submit()
        await eventually(lambda: leader.leads and task in leader.term.book)
        (refused,) = await ask(bob.connection, "bob", "cancel", task)
        assert (refused.ok, refused.said) == (False, "no such task")
        assert (await ask(operator, "admin", "pause", task))[0].ok
        assert (await ask(ann.connection, "ann", "cancel", task))[0].ok


async def test_retry_of_a_failed_task_makes_a_new_one_that_names_it(broker: Broker) -> None:
    from schemas.task import FailureClass

    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker),
    ):
        task = await ann.submit()
        await node.fail(await node.gets(task), FailureClass.PERMANENT)
        await seen.outcome(task)
        (result,) = await ask(ann.connection, "default", "retry", task)
        assert result.ok
        row = await node.gets(result.new_task)
        assert row.retry_of == task
        (again,) = await ask(ann.connection, "default", "retry", task)
        assert again.new_task == result.new_task, "a repeat is no second retry"


async def test_what_held_secrets_can_not_be_retried_once_it_has_ended(broker: Broker) -> None:
    from schemas.task import FailureClass

    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        coordinator(broker),
    ):
        task = await ann.submit(
            headers={"Authorization": "Bearer s3cr3t"}, uris=["http://u:s3cr3t@x.invalid/f?token=s3cr3t"]
        )
        await node.fail(await node.gets(task), FailureClass.PERMANENT)
        await seen.outcome(task)
        (result,) = await ask(ann.connection, "default", "retry", task)
        assert not result.ok
        assert "submit it again" in result.said
        assert all(b"s3cr3t" not in codec.encode(event) for event in seen.events)


async def test_what_is_paused_at_its_node_leaves_the_slots_to_others(broker: Broker) -> None:
    async with producer(broker) as ann, scripted_node(broker, slots=1) as node, coordinator(broker):
        held = [await ann.submit() for _ in range(2)]  # a slot, and the one that waits for it
        for task in held:
            await node.gets(task)
        assert all(result.ok for result in await ask(ann.connection, "default", "pause", *held))
        node.phases |= dict.fromkeys(held, "paused")
        after = [await ann.submit() for _ in range(2)]
        for task in after:
            await node.gets(task)
        assert all(result.ok for result in await ask(ann.connection, "default", "resume", *held))
        await eventually(lambda: all(node.rows[task][1].desired is Desired.RUN for task in held))
        last = await ann.submit()
        for task in (*after, held[0]):
            assert last not in node.rows, "what goes on takes its slot again, and what waits stands in line"
            await node.complete(node.rows[task][1])
        await node.gets(last)


async def test_the_control_service_can_be_discovered_and_says_what_was_wrong(broker: Broker) -> None:
    import json

    async with broker.connected(Role.ADMIN) as admin, coordinator(broker) as leader:
        await leader.until_leading()
        info = json.loads((await admin.request("$SRV.INFO.downdraft-control")).data)
        assert {endpoint["subject"] for endpoint in info["endpoints"]} == {
            f"downloads.control.*.{verb}" for verb in VERBS
        }
        answer = await admin.request(s.control("admin", "cancel"), b'{"ids": 7}')
        assert json.loads(answer.data) == {"error": "ids: Expected array, got int"}


async def test_a_node_that_does_not_hold_its_task_is_told_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MISSING_AFTER_S", 0.5)
    async with producer(broker) as ann, scripted_node(broker) as node, coordinator(broker):
        held, missed = await ann.submit(), await ann.submit()

        def lose(_row: TaskRow) -> None:
            node.holds.pop(missed, None)

        node.on_row = lose
        await node.gets(held)
        await node.gets(missed)

        def came(task: str) -> int:
            return sum(row.task == task for row in node.every_row)

        await eventually(lambda: came(missed) > 2)
        assert came(held) == 1
        node.holds = {held: 2}  # another attempt than the one that stands
        await eventually(lambda: came(held) > 1)
