"""Rule 2: a task stands in one place, whoever writes and whatever crashes in between."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from broker.errors import StoreFull
from broker.roles import Role
from coordinator import moves
from schemas import codec
from schemas import subjects as s
from schemas.ids import QUEUED
from schemas.lifecycle import State
from schemas.request import Request
from schemas.task import TaskRow
from tests.harness.broker import Broker
from tests.harness.leader import bare_term, coordinator, hear
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.scripted import scripted_node
from tests.harness.waiting import eventually

TASK = "00000000000000aa"


def a_row(task: str = TASK) -> TaskRow:
    return TaskRow(
        task=task,
        owner="default",
        source=f"id:{task}",
        request=Request(uris=("http://origin.invalid/f",)),
        state=State.QUEUED,
        place=QUEUED,
    )


async def test_of_two_writers_to_two_places_one_wins(broker: Broker) -> None:
    async with bare_term(broker, "c1") as one, bare_term(broker, "c2") as two:
        created = await one.cas(a_row(), 0)
        assert created is not None
        await two.refresh(TASK)
        to_a = await one.cas(moves.placed(created.row, "node-a", "i"), created.sequence)
        to_b = await two.cas(moves.placed(created.row, "node-b", "i"), created.sequence)
        assert to_a is not None
        assert to_b is None
        top = two.book.top(TASK)
        assert top is not None
        assert top.row.place == "node-a", "the loser knows what stands"


async def test_a_losing_write_is_seen_by_no_subscriber(broker: Broker) -> None:
    from broker.listen import Heard, listening

    heard: list[TaskRow] = []

    def hear(message: Heard) -> None:
        if message.data:
            heard.append(codec.decode(message.data, TaskRow))

    async with (
        broker.connected(Role.ADMIN) as admin,
        listening(admin, s.TASKS_TREE, hear),
        bare_term(broker, "winner") as winner,
        bare_term(broker, "loser") as loser,
    ):
        assert await winner.cas(a_row(), 0) is not None
        assert await loser.cas(replace(a_row(), reason="never to be seen"), 0) is None
        assert await winner.cas(a_row("00000000000000bb"), 0) is not None
        await eventually(lambda: len(heard) == 2)
        assert {row.writer for row in heard} == {"winner"}


async def test_a_finished_move_leaves_one_row(broker: Broker) -> None:
    async with bare_term(broker) as term:
        created = await term.cas(a_row(), 0)
        assert created is not None
        await term.move(moves.placed(created.row, "node-a", "i"), created.sequence)
        rows = await term.table.rows(TASK)
        assert [stored.row.place for stored in rows] == ["node-a"]


async def test_a_takeover_mends_a_move_that_crashed_halfway(broker: Broker) -> None:
    async with bare_term(broker, "crashed") as term:
        created = await term.cas(a_row(), 0)
        assert created is not None
        # The write of a move, without the delete that follows it.
        await term.cas(moves.placed(created.row, "node-1", "i"), created.sequence)
        assert len(await term.table.rows(TASK)) == 2
    async with recording(broker) as seen, scripted_node(broker) as node, coordinator(broker, "next") as leader:
        term = await leader.until_leading()
        rows = await term.table.rows(TASK)
        assert [stored.row.place for stored in rows] == ["node-1"]
        assert await node.complete(rows[0].row)
        await seen.outcome(TASK)
        await eventually(lambda: TASK not in term.book)
        assert await term.table.rows(TASK) == []


async def test_finishing_deletes_the_highest_row_last(broker: Broker) -> None:
    async with bare_term(broker) as term:
        created = await term.cas(a_row(), 0)
        assert created is not None
        moved = await term.cas(moves.placed(created.row, "node-1", "i"), created.sequence)
        assert moved is not None
        deleted: list[int] = []
        delete_all = term.table.delete_all

        async def recorded(sequences: Sequence[int]) -> None:
            deleted.extend(sequences)
            await delete_all(sequences)

        term.table.delete_all = recorded  # type: ignore[method-assign]
        await term.clear(TASK)
        assert deleted == sorted(deleted) == [created.sequence, moved.sequence]


async def test_a_step_that_fails_leaves_its_task_free_for_the_next(broker: Broker) -> None:
    async with bare_term(broker) as term:
        with pytest.raises(StoreFull):
            async with term.only(TASK):
                raise StoreFull("planted")
        assert TASK not in term.locks


async def test_twenty_racing_leaders_place_each_of_200_tasks_once(broker: Broker) -> None:
    """Leaders that all believe in themselves: what keeps tasks safe is the checked write, not the lease."""
    import anyio

    from coordinator import feed
    from coordinator.place import _place_held
    from coordinator.snapshot import Placement

    placed_here: list[tuple[str, str]] = []
    ready: list[str] = []
    async with producer(broker) as ann, anyio.create_task_group() as tasks:
        async with coordinator(broker) as first:
            await first.until_leading()
            ids = [await ann.submit() for _ in range(200)]
            await eventually(lambda: len(first.term.book) == 200)

        async def lead(index: int) -> None:
            async with bare_term(broker, f"leader-{index}", epoch=100 + index) as term:
                await feed.audit(term)
                hear(term, f"node-{index}")
                assert len(term.book) == 200
                ready.append(term.name)
                await eventually(lambda: len(ready) == 20, within_s=60, what="all see every task queued")
                for task in ids[index * 10 :] + ids[: index * 10]:
                    async with term.only(task):
                        top = term.book.top(task)
                        assert top is not None
                        if top.row.state is not State.QUEUED:
                            continue  # it lost this one before
                        await _place_held(term, [Placement(task, top.sequence, f"node-{index}", "i", "race")])
                        now = term.book.top(task)
                        if now is not None and now.row.writer == term.name:
                            placed_here.append((task, term.name))

        for index in range(20):
            tasks.start_soon(lead, index)
    assert sorted(task for task, _ in placed_here) == sorted(ids)
    async with bare_term(broker, "auditor") as term:
        await feed.audit(term)
        assert {top.row.state for top in term.book.tops()} == {State.ASSIGNED}
        assert all(len(term.book.all(task)) == 1 for task in ids)
        assert {(top.row.task, top.row.writer) for top in term.book.tops()} == set(placed_here)
