"""What the crash tests share: a leader that dies in the middle of a step, and a look at the books when all is over."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio

from broker import consumers, pull
from broker.connection import Connection
from broker.errors import BrokerError
from broker.eventlog import history
from broker.roles import Role
from coordinator import claim, feed, follow, intake, moves
from coordinator.term import Term
from schemas import subjects as s
from schemas.event import Finished
from schemas.ids import TaskId, task_id
from schemas.lifecycle import Desired, State
from schemas.task import FailureClass, StoredRow, TaskRow
from tests.examples import a_request
from tests.harness.broker import QUICK, Broker
from tests.harness.crashing import Dies, Mortal
from tests.harness.leader import RunningCoordinator, coordinator
from tests.harness.producing import Producer
from tests.harness.scripted import ScriptedNode
from tests.harness.waiting import eventually

_numbers = count(1)


class Stage:
    """One task's world: an empty broker, a producer, two nodes, and a sound leader that laid it all out."""

    def __init__(self, broker: Broker, admin: Connection, sound: Term, one: ScriptedNode, two: ScriptedNode) -> None:
        self.broker, self.admin, self.sound, self.one, self.two = broker, admin, sound, one, two
        self.producer = Producer(admin, "default")
        self.source = f"crash-{next(_numbers)}"
        self.task: TaskId = task_id("default", f"id:{self.source}")

    async def queued(self, **fields: Any) -> StoredRow:
        """The task as it was claimed."""
        row = moves.claimed(
            task=self.task,
            owner="default",
            source=f"id:{self.source}",
            request=a_request(**fields),
            submitted=self.sound.now(),
        )
        stored = await self.sound.cas(row, 0)
        assert stored is not None
        return stored

    async def placed(self, node: ScriptedNode, **fields: Any) -> StoredRow:
        """The task as it stands at `node`, which knows of it."""
        top = await self.queued(**fields)
        stored = await self.sound.move(moves.placed(top.row, node.name, "i"), top.sequence)
        assert stored is not None
        await node.gets(self.task)
        return stored

    async def fails(self, node: ScriptedNode, row: TaskRow, failure: FailureClass = FailureClass.TRANSIENT) -> None:
        await node.fail(row, failure)
        node.rows.pop(row.task, None)

    async def gives_back(self, node: ScriptedNode, row: TaskRow) -> None:
        await node.release(row, row.desired)
        node.rows.pop(row.task, None)

    async def wish(self, top: StoredRow, desired: Desired) -> StoredRow:
        change = moves.wished(top.row, desired)
        assert isinstance(change, TaskRow)
        stored = await self.sound.cas(change, top.sequence)
        assert stored is not None
        return stored


async def empty(admin: Connection) -> None:
    """Nothing is left of the test before."""
    for stream in (s.REQUESTS_STREAM, s.TASKS_STREAM, s.EVENTS_STREAM):
        for consumer in (await admin.api(f"CONSUMER.NAMES.{stream}")).get("consumers") or ():
            await consumers.delete(admin, stream, consumer)
        await admin.api(f"STREAM.PURGE.{stream}")
    await admin.api(f"STREAM.PURGE.{s.BUCKET_STREAM}", {"filter": s.bucket_key(s.PLACING_KEY)})


@asynccontextmanager
async def staged(broker: Broker, one: ScriptedNode, two: ScriptedNode, admin: Connection) -> AsyncIterator[Stage]:
    """The world for one test, with the consumers of a leader that was there before."""
    await empty(admin)
    for node in (one, two):
        node.rows.clear()
        node.holds.clear()
        node.hints.clear()
        node.every_row.clear()
        node.beating = True
    async with broker.connected(Role.COORDINATOR) as connection:
        await connection.api("STREAM.INFO.TASKS")
        sound = Term(connection, "before", 1, QUICK, random.Random(1))
        await claim.open_consumer(sound)
        await follow.open_consumer(sound)
        yield Stage(broker, admin, sound, one, two)


async def dying(
    stage: Stage,
    act: Callable[[Term, Stage], Any],
    dies: Dies | None = None,
    at: int = 0,
) -> Mortal:
    """Take the step as a leader that knows the table, dying where told. What it wrote is in the result."""
    async with stage.broker.connected(Role.COORDINATOR) as connection:
        await connection.api("STREAM.INFO.TASKS")
        with anyio.CancelScope() as scope:
            mortal = Mortal(connection, scope)
            term = Term(connection, "dying", 2, QUICK, random.Random(1))
            await feed.audit(term)
            mortal.arm(dies, at)
            try:
                await act(term, stage)
            except BrokerError:
                assert mortal.is_dead, "what it could not do before it died"
    assert mortal.is_dead == (dies is not None), f"it lived on: {mortal.writes}"
    return mortal


async def take_one(term: Term, stream: str, name: str, act: intake.Act) -> None:
    """Take one message from a consumer as the leader's loop does."""
    async with pull.reading(term.connection, stream, name, batch=1) as reader:
        delivery = await reader.next()
        assert delivery is not None
        await intake.settle(term, reader, [delivery], act)


async def work(node: ScriptedNode) -> None:
    """Do what the rows say: complete what is to run, give back what is called back."""
    while True:
        for _, row in tuple(node.rows.values()):
            if row.state is not State.ASSIGNED:
                node.holds.pop(row.task, None)
            elif row.desired in (Desired.CANCEL, Desired.RELEASE):
                await node.release(row, row.desired)
                node.rows.pop(row.task, None)
            elif row.desired is Desired.RUN and not _is_late(row):
                await node.complete(row)
                node.rows.pop(row.task, None)
        await anyio.sleep(0.02)


def _is_late(row: TaskRow) -> bool:
    """Too slow for its deadline: whoever leads must see to that."""
    return row.request is not None and row.request.deadline is not None


@asynccontextmanager
async def taken_over(stage: Stage) -> AsyncIterator[RunningCoordinator]:
    """A fresh coordinator leads and both nodes work, unless one is lost."""
    async with coordinator(stage.broker, "next") as running, anyio.create_task_group() as tasks:
        for node in (stage.one, stage.two):
            tasks.start_soon(work, node)
        await running.until_leading()
        yield running
        tasks.cancel_scope.cancel()


async def outcomes(stage: Stage) -> list[Finished]:
    """Every outcome stored of the task, or of the only request there was."""
    return [one.event for one in await history(stage.admin, stage.task) if isinstance(one.event, Finished)]


async def ends(stage: Stage) -> Finished:
    """Wait until the task has ended, and nothing is left to do: no rows, no request, no fact un-acked."""

    async def ended() -> list[Finished]:
        return await outcomes(stage)

    found = await eventually(ended, within_s=20, every_s=0.05, what="an outcome")
    await eventually(lambda: _nothing_left(stage), within_s=20, every_s=0.05, what="no row, request or fact is left")
    assert len(await outcomes(stage)) == 1
    return found[0]


async def _nothing_left(stage: Stage) -> bool:
    return not await stage.sound.table.rows(stage.task) and not await _unread(stage.admin)


async def _unread(admin: Connection) -> int:
    """Requests and facts that nobody has acked."""
    left = int((await admin.api(f"STREAM.INFO.{s.REQUESTS_STREAM}"))["state"]["messages"])
    for name in (await admin.api(f"CONSUMER.NAMES.{s.EVENTS_STREAM}")).get("consumers") or ():
        if name.startswith(follow.PREFIX):
            info = await admin.api(f"CONSUMER.INFO.{s.EVENTS_STREAM}.{name}")
            left += int(info["num_pending"]) + int(info["num_ack_pending"])
    return left
