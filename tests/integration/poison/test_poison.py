"""What no sound node or producer sends: each message ends in one ack, is counted by its kind, and stops nothing."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from broker.cluster import Client, open_client
from broker.connection import Connection
from broker.roles import Role
from coordinator import counting
from coordinator.follow import PREFIX
from schemas import codec
from schemas import subjects as s
from schemas.control import StatsReply
from schemas.lifecycle import State
from schemas.oddity import Oddity
from schemas.task import FailureClass
from tests.examples import a_heartbeat
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import RunningCoordinator, coordinator
from tests.harness.producing import Producer, producer
from tests.harness.recorder import Recorder, recording
from tests.harness.scripted import ScriptedNode, scripted_node
from tests.harness.waiting import eventually
from tests.integration.control.steps import answering
from tests.integration.full.limits import empty_inbox, stats
from tools.doctor.facts import StatsSeen
from tools.doctor.findings import Status
from tools.doctor.judge_fleet import judge_reports
from tools.overview import _stats

NEVER_WAS = "00000000000000ff"
BINARY = b"\xff\xfe\x00\x01{"
LARGE = b'{"type": "released", "reason": "' + b"x" * 900_000 + b'"'


class Cluster(NamedTuple):
    ann: Producer
    node: ScriptedNode
    leader: RunningCoordinator
    seen: Recorder
    client: Client
    admin: Connection

    async def write(self, task: str, kind: str, body: bytes) -> None:
        """As a node may: under its own name, about any task."""
        await self.node.connection.store(s.event_write(task, kind, self.node.name), body)

    async def fact(self, subject_task: str, kind: str, **fields: Any) -> None:
        about: dict[str, Any] = {
            "type": kind,
            "task": subject_task,
            "owner": "default",
            "time": datetime.now(UTC).isoformat(),
        }
        about |= {"node": self.node.name, "reason": "as told", "attempt": 1} | fields
        if kind == "attempt_failed":
            about.setdefault("failure", "transient")
        await self.write(subject_task, kind, json.dumps(about).encode())

    async def counted(self, kind: Oddity, times: int = 1) -> StatsReply:
        """Wait until everything is acked and the leader has counted this, and nothing else, in what `stats` says."""

        async def all_acked() -> bool:
            name = f"{PREFIX}{self.leader.term.tag}"
            info = await self.admin.api(f"CONSUMER.INFO.{s.EVENTS_STREAM}.{name}")
            return not info["num_pending"] and not info["num_ack_pending"] and await empty_inbox(self.admin)

        await eventually(lambda: self.leader.term.oddities[kind] >= times, what=f"{times} of {kind}")
        await eventually(all_acked, what="each message ends in an ack")
        reply = await stats(self.client)
        assert reply.oddities == {str(kind): times}
        return reply

    async def still_works(self) -> None:
        task = await self.ann.submit()
        await self.node.complete(await self.node.gets(task))
        await self.seen.outcome(task)


@asynccontextmanager
async def cluster(broker: Broker) -> AsyncIterator[Cluster]:
    async with (
        producer(broker) as ann,
        recording(broker) as seen,
        scripted_node(broker) as node,
        broker.connected(Role.ADMIN) as admin,
        coordinator(broker, settings=STEADY) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        yield Cluster(ann, node, leader, seen, client, admin)


@pytest.fixture(autouse=True)
def fresh_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "KEEP_S", 0.0)


@pytest.mark.parametrize(
    "body",
    [BINARY, b"", b"[]", b'"text"', LARGE, b'{"type": "released", "attempt": "one"}', b'{"type": 7}'],
    ids=["binary", "empty", "a list", "text", "cut short at 900 kB", "wrong types", "a type that is a number"],
)
async def test_a_report_that_cannot_be_read_is_counted_and_passed_over(broker: Broker, body: bytes) -> None:
    async with cluster(broker) as one:
        task = await one.ann.submit()
        row = await one.node.gets(task)
        await one.write(task, "released", body)
        await one.counted(Oddity.FACT_UNREADABLE)
        assert await one.node.complete(row)
        await one.seen.outcome(task)
        await one.still_works()


async def test_a_report_of_a_type_that_is_not_known_yet_is_passed_over_as_what_its_subject_is_not(
    broker: Broker,
) -> None:
    async with cluster(broker) as one:
        await one.write(NEVER_WAS, "released", b'{"type": "evaporated", "task": "x"}')
        await one.counted(Oddity.FACT_MISADDRESSED)
        await one.still_works()


async def test_the_same_report_twice_acts_once(broker: Broker) -> None:
    async with cluster(broker) as one:
        task = await one.ann.submit()
        row = await one.node.gets(task)
        await one.node.fail(row)
        await one.node.gets(task, attempt=2)
        await one.node.fail(row)
        await one.counted(Oddity.FACT_OF_OLD_ATTEMPT)
        assert one.node.rows[task][1].failures == 1
        assert await one.node.complete(one.node.rows[task][1])
        await one.seen.outcome(task)


async def test_a_failure_that_comes_before_its_attempt_changes_nothing(broker: Broker) -> None:
    async with cluster(broker) as one:
        task = await one.ann.submit()
        row = await one.node.gets(task)
        await one.fact(task, "attempt_failed", attempt=2, failure="permanent")
        await one.counted(Oddity.FACT_OF_UNKNOWN_ATTEMPT)
        await one.node.fail(row)
        await one.node.complete(await one.node.gets(task, attempt=2))
        assert (await one.seen.outcome(task)).kind == "finished.completed"
        await one.counted(Oddity.FACT_OF_UNKNOWN_ATTEMPT)


async def test_a_report_of_a_node_that_does_not_hold_the_task_changes_nothing(broker: Broker) -> None:
    async with cluster(broker) as one, scripted_node(broker, "node-2", slots=1) as other:
        task = await one.ann.submit(size=1)
        row = await eventually(lambda: next((r for n in (one.node, other) for _, r in n.rows.values()), None))
        stranger = other if row.place == one.node.name else one.node
        await stranger.fail(row, FailureClass.PERMANENT)
        await one.counted(Oddity.FACT_OF_OTHER_NODE)
        assert not one.seen.outcomes(task)


@pytest.mark.parametrize("kind", ["attempt_failed", "released"])
async def test_a_report_of_a_task_that_never_was_changes_nothing(broker: Broker, kind: str) -> None:
    async with cluster(broker) as one:
        await one.fact(NEVER_WAS, kind)
        await one.counted(Oddity.FACT_OF_UNKNOWN_TASK)
        await one.still_works()


async def test_a_report_of_a_task_that_has_ended_changes_nothing(broker: Broker) -> None:
    async with cluster(broker) as one:
        task = await one.ann.submit()
        row = await one.node.gets(task)
        await one.node.complete(row)
        await eventually(lambda: task not in one.leader.term.book)
        await one.node.fail(row)
        await one.counted(Oddity.FACT_OF_ENDED_TASK)
        assert len(one.seen.outcomes(task)) == 1


@pytest.mark.parametrize("kind", ["attempt_failed", "released", "finished.completed"])
async def test_a_report_cannot_speak_of_another_task_than_its_subject(broker: Broker, kind: str) -> None:
    """The broker lets a node write under any task's subject; what it then says of another task is not believed."""
    async with cluster(broker) as one:
        victim = await one.ann.submit()
        row = await one.node.gets(victim)
        more = {"path": "f", "bytes": 1, "digest": "", "seconds": 0.1} if kind == "finished.completed" else {}
        await one.fact(NEVER_WAS, kind, task=victim, **more)
        await one.counted(Oddity.FACT_MISADDRESSED)
        assert victim in one.leader.term.book
        assert one.node.rows[victim][1].attempt == row.attempt
        assert await one.node.complete(row)
        await one.seen.outcome(victim)


async def test_a_node_cannot_report_in_another_nodes_name(broker: Broker) -> None:
    async with cluster(broker) as one:
        task = await one.ann.submit()
        await one.node.gets(task)
        await one.fact(task, "attempt_failed", node="node-7", failure="permanent")
        await one.counted(Oddity.FACT_MISADDRESSED)
        assert not one.seen.outcomes(task)


async def test_an_outcome_that_cannot_be_read_still_ends_its_task(broker: Broker) -> None:
    """The broker took it, and takes no other: a task whose row stayed would never end."""
    async with producer(broker) as ann, scripted_node(broker) as node, coordinator(broker, settings=STEADY) as leader:
        task = await ann.submit()
        await node.gets(task)
        await node.connection.store(s.event_write(task, "finished.completed", node.name), BINARY)
        await eventually(lambda: leader.term.oddities[Oddity.FACT_UNREADABLE] == 1 and task not in leader.term.book)
        assert await leader.term.table.rows(task) == []


async def test_a_completion_before_its_assignment_is_known_ends_the_task(broker: Broker) -> None:
    async with cluster(broker) as one:
        task = await one.ann.submit()
        row = await one.node.gets(task)
        await one.ann.submit(id="other")
        unplaced = await one.ann.submit(tags=["nobody"])
        await eventually(lambda: unplaced in one.leader.term.book)
        top = one.leader.term.book.top(unplaced)
        assert top is not None
        assert top.row.state is State.QUEUED
        assert await one.node.complete(top.row), "the first whole file wins"
        await one.seen.outcome(unplaced)
        await eventually(lambda: unplaced not in one.leader.term.book)
        assert await one.node.complete(row)
        assert one.leader.term.oddities.total() == 0


@pytest.mark.parametrize(
    "body", [BINARY, b"", b'{"node": 7}', b"x" * 1_000_000], ids=["binary", "empty", "types", "1 MB"]
)
async def test_a_heartbeat_that_cannot_be_read_is_counted(broker: Broker, body: bytes) -> None:
    async with cluster(broker) as one:
        await one.node.connection.publish(s.heartbeat(one.node.name), body)
        await one.counted(Oddity.HEARTBEAT_UNREADABLE)
        await one.still_works()


async def test_a_heartbeat_under_another_nodes_name_is_counted_and_believed_by_nobody(broker: Broker) -> None:
    async with cluster(broker) as one:
        await one.node.connection.publish(s.heartbeat(one.node.name), codec.encode(a_heartbeat("node-7")))
        await one.counted(Oddity.HEARTBEAT_MISADDRESSED)
        assert one.leader.term.fleet.get("node-7") is None


async def test_a_heartbeat_of_a_later_version_is_understood_as_far_as_it_goes(broker: Broker) -> None:
    async with cluster(broker) as one, broker.connected(Role.NODE, "node-7") as later:
        body = json.loads(codec.encode(a_heartbeat("node-7"))) | {"mood": "sunny", "held_since": [1, 2]}
        await later.publish(s.heartbeat("node-7"), json.dumps(body).encode())
        await eventually(lambda: one.leader.term.fleet.get("node-7"))
        assert one.leader.term.oddities.total() == 0


@pytest.mark.parametrize("body", [BINARY, b'{"uris": ' + b"[" * 100_000, b"[]", b'{"uris": 7}', b"x" * 500_000])
async def test_a_request_that_cannot_be_read_is_rejected_once(broker: Broker, body: bytes) -> None:
    async with cluster(broker) as one:
        await one.ann.publish(body)
        await one.counted(Oddity.REQUEST_REJECTED)
        assert len(one.seen.outcomes()) == 1
        await one.still_works()


async def test_a_row_that_cannot_be_read_is_left_alone_and_counted_as_long_as_it_stands(broker: Broker) -> None:
    from coordinator import feed

    async with broker.connected(Role.ADMIN) as admin:
        await admin.store(s.task_write("queued", NEVER_WAS), BINARY)
    async with cluster(broker) as one:
        await one.counted(Oddity.ROW_UNREADABLE)
        await one.still_works()
        await feed.audit(one.leader.term)
        await one.counted(Oddity.ROW_UNREADABLE)


async def test_a_command_that_cannot_be_read_is_answered_and_counted(broker: Broker) -> None:
    async with cluster(broker) as one:
        answer = await one.ann.connection.request(s.control("default", "cancel"), BINARY)
        assert b"error" in answer.data
        await one.counted(Oddity.CONTROL_UNREADABLE)


async def test_people_and_doctor_are_told_by_kind(broker: Broker) -> None:
    async with cluster(broker) as one:
        await one.fact(NEVER_WAS, "released")
        reply = await one.counted(Oddity.FACT_OF_UNKNOWN_TASK)
        lines = [[cell.text for cell in row] for row in _stats(reply)]
        assert ["passed over", "1", "reports of tasks that never were"] in lines
        found = judge_reports(StatsSeen(reply, 0.1))
        assert found.status is Status.WARNING
        assert "1 reports of tasks that never were" in found.found
        assert (reply.ignored_facts, reply.undecodable) == (1, 0)
