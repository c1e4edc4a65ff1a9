"""`prioritise`: tasks get another place among the queued ones of their owner and priority, and keep it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import anyio
import pytest
from msgspec.structs import replace

from broker.cluster import Client, Refused, open_client
from broker.roles import Role
from coordinator import positions
from coordinator.listing import Listing
from coordinator.prioritising import Prioritising
from coordinator.steering import Steering
from coordinator.term import Term
from schemas.control import ErrorReply, How, Prioritise, Steered, SteerReply
from schemas.event import Prioritised
from schemas.filter import filter_of
from schemas.lifecycle import Desired, State
from schemas.task import FailureClass, TaskRow, order_of
from tests.examples import a_request, a_row, a_task
from tests.harness.broker import Broker
from tests.harness.leader import RunningCoordinator, bare_term, coordinator
from tests.harness.producing import Producer, producer
from tests.harness.recorder import recording
from tests.harness.scripted import ScriptedNode, scripted_node
from tests.harness.waiting import eventually
from tests.integration.control.steps import answering


class Stage(NamedTuple):
    ann: Producer
    leader: RunningCoordinator
    client: Client

    async def submit(self, count: int, **fields: object) -> list[str]:
        """Tasks that wait for a node that never comes, unless `fields` say otherwise."""
        tasks = [str(await self.ann.submit(**{"tags": ["nobody"]} | fields)) for _ in range(count)]
        await eventually(lambda: all(task in self.leader.term.book for task in tasks))
        return tasks

    async def prioritise(self, *tasks: str, **asked: object) -> tuple[Steered, ...]:
        query = replace(Prioritise(ids=tasks), **asked)
        return (await self.client.ask("prioritise", query, SteerReply)).results

    def row(self, task: str) -> TaskRow:
        top = self.leader.term.book.top(task)
        assert top is not None
        return top.row

    def queue(self, owner: str = "default") -> list[str]:
        """The queued tasks as they would be placed."""
        rows = [top.row for top in self.leader.term.book.tops() if top.row.owner == owner]
        ranks = {row.task: (-row.request.priority, order_of(row), row.task) for row in rows if row.request}
        return sorted(ranks, key=ranks.__getitem__)


@asynccontextmanager
async def stage(broker: Broker) -> AsyncIterator[Stage]:
    async with (
        producer(broker) as ann,
        coordinator(broker) as leader,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        yield Stage(ann, leader, client)


def first_rows(node: ScriptedNode) -> list[TaskRow]:
    """Of each task the first row that came to a node, in the order of their coming."""
    return list({row.task: row for row in reversed(node.every_row)}.values())[::-1]


async def test_tasks_are_queued_in_the_order_of_the_inbox(broker: Broker) -> None:
    async with stage(broker) as on:
        tasks = [str(await on.ann.submit(tags=["nobody"])) for _ in range(150)]
        await eventually(lambda: len(on.leader.term.book) == 150)
        assert on.queue() == tasks


async def test_a_task_is_moved_as_aria2_moves_one(broker: Broker) -> None:
    async with stage(broker) as on:
        a, b, c, d = await on.submit(4)
        for task, position, how, expected in (
            (c, 0, How.SET, [c, a, b, d]),
            (c, 1, How.CUR, [a, c, b, d]),
            (a, 0, How.END, [c, b, d, a]),
            (a, -1, How.END, [c, b, a, d]),
            (d, -9, How.CUR, [d, c, b, a]),
            (d, 99, How.SET, [c, b, a, d]),
            (b, 1, How.SET, [c, b, a, d]),
        ):
            (result,) = await on.prioritise(task, position=position, how=how)
            assert on.queue() == expected, (position, how)
            assert (result.ok, result.position) == (True, expected.index(task))


async def test_several_go_to_the_front_together_and_keep_their_order(broker: Broker) -> None:
    async with stage(broker) as on:
        a, b, c, d, e = await on.submit(5)
        results = await on.prioritise(e, b, d, position=0)
        assert on.queue() == [b, d, e, a, c]
        assert {result.task: result.position for result in results} == {b: 0, d: 1, e: 2}
        await on.prioritise(d, b, position=0, how=How.END)
        assert on.queue() == [e, a, c, b, d]
        later = await on.submit(1)
        assert on.queue() == [e, a, c, b, d, *later], "what comes later goes behind those at the back"


async def test_positions_count_among_equals_of_one_owner_alone(broker: Broker) -> None:
    async with stage(broker) as on, producer(broker, "bob") as bob:
        mine = await on.submit(3)
        urgent = await on.submit(2, priority=3)
        his = await Stage(bob, on.leader, on.client).submit(3)
        results = await on.prioritise(mine[2], urgent[1], his[1], position=0)
        assert [result.position for result in results] == [0, 0, 0]
        assert on.queue() == [urgent[1], urgent[0], mine[2], mine[0], mine[1]]
        assert on.queue("bob") == [his[1], his[0], his[2]]


async def test_another_priority_goes_in_by_age_unless_a_position_is_asked_for(broker: Broker) -> None:
    async with stage(broker) as on:
        a, b, c = await on.submit(3)
        urgent = await on.submit(1, priority=5)
        (result,) = await on.prioritise(b, priority=5)
        assert on.queue() == [b, *urgent, a, c]
        assert (result.position, result.said) == (0, "priority +5, goes first")
        (result,) = await on.prioritise(a, priority=5, position=1)
        assert on.queue() == [b, a, *urgent, c]
        assert (result.position, result.said) == (1, "priority +5, 1 of default before it")
        (result,) = await on.prioritise(c, priority=-2)
        assert (result.position, on.row(c).request.priority) == (0, -2)  # type: ignore[union-attr]


async def test_tasks_are_placed_as_they_stand_in_the_queue(broker: Broker) -> None:
    async with stage(broker) as on:
        a, b, c, d, e = await on.submit(5, tags=[])
        await on.prioritise(d, position=0)
        await on.prioritise(a, position=0, how=How.END)
        await on.prioritise(c, priority=1)
        async with scripted_node(broker, slots=1) as node:
            placed: set[str] = set()
            while len(placed) < 5:
                row = await eventually(lambda: next((one for one in first_rows(node) if one.task not in placed), None))
                placed.add(row.task)
                await node.complete(row)
            assert [row.task for row in first_rows(node)] == [c, d, b, e, a]


async def test_a_running_task_keeps_its_new_priority_for_the_next_try(broker: Broker) -> None:
    async with stage(broker) as on, scripted_node(broker) as node:
        task, *_ = await on.submit(1, tags=[])
        first = await node.gets(task)
        (refused,) = await on.prioritise(task, position=0)
        assert (refused.ok, refused.matched) == (False, True)
        assert refused.said == "it is at node-1 already: only what is queued has a position"
        (result,) = await on.prioritise(task, priority=7, position=0)
        assert (result.ok, result.position) == (True, None)
        again = await eventually(lambda: node.rows[task][1] if node.rows[task][1] != first else None)
        assert (again.attempt, again.desired, again.order) == (1, Desired.RUN, first.order)
        await node.fail(again, FailureClass.TRANSIENT)
        row = await node.gets(task, attempt=2)
        assert row.request is not None
        assert (row.request.priority, row.order) == (7, first.order)


async def test_a_task_that_waits_for_its_next_try_keeps_its_order_and_its_moment(broker: Broker) -> None:
    async with stage(broker) as on, scripted_node(broker) as node:
        task, other = await on.submit(2, tags=[])
        row = await node.gets(task)
        await node.fail(row, FailureClass.TRANSIENT, retry_after_s=60)
        await node.fail(await node.gets(other), FailureClass.TRANSIENT, retry_after_s=60)
        await eventually(lambda: {on.row(one).state for one in (task, other)} == {State.QUEUED})
        assert on.queue() == [task, other]
        (result,) = await on.prioritise(other, position=0)
        assert (result.ok, on.queue()) == (True, [other, task])
        view = (await on.client.show(other)).task
        assert view is not None
        assert 30 < view.due_in_s <= 60, "it waits as long as before"
        moved = on.row(other).order
        for verb in ("pause", "resume", "retry"):
            assert (await on.client.steer(verb, (other,))).results[0].ok
        assert (await node.gets(other, attempt=2)).order == moved


async def test_what_has_ended_or_matches_no_more_is_left_alone(broker: Broker) -> None:
    async with stage(broker) as on, recording(broker) as seen, scripted_node(broker) as node:
        over, *_ = await on.submit(1, tags=[])
        await node.complete(await node.gets(over))
        await seen.outcome(over)
        waits, *_ = await on.submit(1)
        results = await on.prioritise(over, waits, priority=1, where=filter_of(tags=["elsewhere"]))
        assert [(result.ok, result.matched) for result in results] == [(False, False)] * 2
        (result,) = await on.prioritise(over, priority=1)
        assert (result.ok, result.said) == (False, "it is completed already")
        (result,) = await on.prioritise(waits, position=0, deadline=datetime(2020, 1, 1, tzinfo=UTC))
        assert (result.ok, "deadline" in result.said) == (False, True)
        with pytest.raises(Refused, match="say a priority, or a position"):
            await on.prioritise(waits)
        with pytest.raises(Refused, match="priority"):
            await on.prioritise(waits, priority=11)


async def test_an_owner_moves_only_their_own(broker: Broker) -> None:
    async with (
        stage(broker) as on,
        producer(broker, "bob") as bob,
        open_client(broker.url, broker.creds(Role.PRODUCER, "bob")) as his,
    ):
        mine = await on.submit(2)
        bobs = await Stage(bob, on.leader, on.client).submit(2)
        ids = (mine[1], bobs[1])
        results = (await his.steer("prioritise", ids, asked=Prioritise(position=0))).results
        assert [(result.ok, result.position) for result in results] == [(False, None), (True, 0)]
        assert results[0].said == "no such task"
        assert (on.queue(), on.queue("bob")) == (mine, bobs[::-1])


async def test_each_change_is_told_and_none_where_nothing_changed(broker: Broker) -> None:
    async with stage(broker) as on, recording(broker) as seen:
        a, b = await on.submit(2)
        for _ in range(2):
            await on.prioritise(b, position=0)
            await on.prioritise(a, priority=2)
        await on.prioritise(a, priority=0, position=0)
        told = await eventually(
            lambda: found if len(found := [one for one in seen.events if isinstance(one, Prioritised)]) >= 3 else None
        )
        assert [(one.task, one.priority, one.position) for one in told] == [(b, 0, 0), (a, 2, 0), (a, 0, 0)]


async def crowded(term: Term) -> Prioritising:
    """Eight queued tasks, two of a moment."""
    for number in range(1, 9):
        row = a_row(task=a_task(number), source=f"id:{number}", order=1000 + number // 2)
        assert await term.cas(replace(row, request=a_request(tags=("nobody",))), 0) is not None
    listing = Listing(term)
    return Prioritising(term, listing, Steering(term, listing))


async def test_neighbours_without_room_move_apart_and_a_new_leader_finds_all_in_order(broker: Broker) -> None:
    async with bare_term(broker) as term:
        asked = Prioritise(ids=(a_task(8),), position=3)
        reply = await (await crowded(term)).prioritise(asked, lambda owner: True)
        assert isinstance(reply, SteerReply)
        assert reply.results[0].position == 3
    async with producer(broker) as ann, coordinator(broker) as leader:
        await leader.until_leading()
        async with open_client(broker.url, broker.creds(Role.OPERATOR)) as client:
            assert Stage(ann, leader, client).queue() == [a_task(number) for number in (1, 2, 3, 8, 4, 5, 6, 7)]


async def test_where_no_room_can_be_made_it_is_said_and_nothing_is_moved(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(positions, "NEIGHBOURS_MAX", 0)
    async with bare_term(broker) as term:
        serving = await crowded(term)
        before = list(term.book.tops())
        reply = await serving.prioritise(Prioritise(ids=(a_task(8),), position=3), lambda owner: True)
        assert isinstance(reply, ErrorReply)
        assert "the front or the back" in reply.error
        assert list(term.book.tops()) == before


async def test_tasks_that_are_moved_at_the_same_time_do_not_come_to_stand_in_one_place(broker: Broker) -> None:
    async with stage(broker) as on:
        tasks = await on.submit(30)
        term = on.leader.term
        serving = Prioritising(term, listing := Listing(term), Steering(term, listing))

        async def move(task: str, how: How) -> None:
            await serving.prioritise(Prioritise(ids=(task,), position=0, how=how), lambda owner: True)

        async with anyio.create_task_group() as asking:
            for task in tasks[10:20]:
                asking.start_soon(move, task, How.SET)
            for task in tasks[:5]:
                asking.start_soon(move, task, How.END)
        queue = on.queue()
        assert set(queue[:10]) == set(tasks[10:20])
        assert queue[10:25] == [*tasks[5:10], *tasks[20:]]
        assert set(queue[25:]) == set(tasks[:5])
        orders = [order_of(on.row(task)) for task in queue]
        assert len(set(orders)) == len(orders)
