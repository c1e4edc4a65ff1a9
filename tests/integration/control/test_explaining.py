"""`explain`: what is known of a task, and to whom it is told."""

import pytest

import coordinator.story
from broker.cluster import open_client
from broker.connection import Connection
from broker.eventlog import StoredEvent, history
from broker.roles import Role
from coordinator.explaining import explain
from coordinator.listing import Listing
from coordinator.story import story
from coordinator.term import Term
from coordinator.verdicts import Explanation
from schemas.control import ErrorReply, ExplainQuery, ExplainReply, NodeVerdict
from schemas.lifecycle import State
from schemas.task import FailureClass, StoredRow
from tests.harness.broker import Broker
from tests.harness.leader import coordinator as leading
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually
from tests.integration.control.steps import answering


def judged(top: StoredRow) -> Explanation:
    verdict = NodeVerdict(node="node-1", online=True, rank=1, score=(0.0,))
    return Explanation("least-loaded", (f"{top.row.task} waits",), 3, (verdict,))


async def explained(term: Term, task: str, caller: str = "default") -> ExplainReply | ErrorReply:
    reply = await explain(term, Listing(term), judged, ExplainQuery(task), lambda owner: owner == caller)
    assert isinstance(reply, ExplainReply | ErrorReply)
    return reply


async def test_a_waiting_task_a_running_one_and_one_that_ended_are_each_explained(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        leading(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
        scripted_node(broker) as node,
    ):
        term = await answering(leader, client)
        waits, runs = await ann.submit(tags=["nobody"], priority=2), await ann.submit(name="Debian")
        first = await node.gets(runs)
        await eventually(lambda: waits in term.book)
        waiting = await explained(term, waits)
        assert isinstance(waiting, ExplainReply)
        assert (waiting.state, waiting.priority, waiting.ahead) == (State.QUEUED, 2, 3)
        assert waiting.waits_for == (f"{waits} waits",)
        assert (waiting.node, waiting.placed) == ("", ())

        await node.fail(first, FailureClass.DAMAGED)
        again = await node.gets(runs, attempt=2)
        await seen.sees("retrying", runs)
        running = await explained(term, runs)
        assert isinstance(running, ExplainReply)
        assert (running.node, running.waits_for, running.ahead) == ("node-1", (), None)
        assert [(one.attempt, one.node) for one in running.placed] == [(1, "node-1"), (2, "node-1")]
        assert running.why == running.placed[-1].why != ""
        assert [one.node for one in running.nodes] == ["node-1"]

        await node.complete(again)
        await seen.outcome(runs)
        over = await explained(term, runs)
        assert isinstance(over, ExplainReply)
        assert (over.state, over.node, over.why, over.nodes) == (State.COMPLETED, "node-1", running.why, ())


async def test_other_owners_tasks_are_told_to_nobody(broker: Broker) -> None:
    async with (
        producer(broker) as ann,
        leading(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        term = await answering(leader, client)
        task = await ann.submit(tags=["nobody"])
        await eventually(lambda: task in term.book)
        none = "0123456789abcdef"
        assert await explained(term, task, "bob") == ErrorReply(f"there is no task {task}")
        assert await explained(term, none) == ErrorReply(f"there is no task {none}")
        assert await explained(term, "x") == ErrorReply("'x' is not a task id: 16 hex digits are")


async def test_a_task_that_ends_while_it_is_looked_up_is_found(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        producer(broker) as ann,
        leading(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
        scripted_node(broker) as node,
    ):
        term = await answering(leader, client)
        task = await ann.submit()
        row = await node.gets(task)

        async def and_then_it_ends(connection: Connection, looked_up: str) -> list[StoredEvent]:
            events = await history(connection, looked_up)
            await node.complete(row)
            await eventually(lambda: task not in term.book)
            return events

        with monkeypatch.context() as patched:
            patched.setattr(coordinator.story, "history", and_then_it_ends)
            live = await story(term, Listing(term), task)
        over = await story(term, Listing(term), task)
        assert live.view is not None
        assert live.view.state is State.ASSIGNED
        assert over.view is not None
        assert over.view.state is State.COMPLETED
        assert len(over.events) > len(live.events)
