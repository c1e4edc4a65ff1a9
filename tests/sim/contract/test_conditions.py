"""Writes on a condition: one of many wins, the loser is told what stands, and nobody hears of a lost one."""

import anyio
import pytest

from broker.errors import ApiRefused, SequenceConflict
from broker.eventlog import EventLog, StoredEvent
from broker.roles import Role
from broker.table import Table
from coordinator import moves
from schemas import subjects as s
from schemas.lifecycle import State
from schemas.request import Request
from schemas.task import TaskRow
from tests.sim.contract.brokers import AnyBroker
from tests.sim.contract.raw import fate, state

TASK = "00000000000000aa"
ANYWHERE = s.task_anywhere(TASK)


def a_row(task: str = TASK, nonce: str = "") -> TaskRow:
    request = Request(uris=("http://origin.invalid/f",))
    return TaskRow(
        task=task,
        owner="default",
        source=f"id:{task}",
        request=request,
        state=State.QUEUED,
        place="queued",
        nonce=nonce,
    )


def sequence_named(error: object) -> str:
    assert isinstance(error, SequenceConflict), error
    return str(error).rpartition("wrong last sequence: ")[2]


async def test_the_condition_is_on_all_places_of_a_task_and_the_conflict_names_what_stands(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        assert await fate(connection, s.task_write("a", TASK), expected="0", of=ANYWHERE) == 1
        assert sequence_named(await fate(connection, s.task_write("b", TASK), expected="0", of=ANYWHERE)) == "1"
        assert await fate(connection, s.task_write("b", TASK), expected="1", of=ANYWHERE) == 2
        assert sequence_named(await fate(connection, s.task_write("c", TASK), expected="1", of=ANYWHERE)) == "2"
        assert (
            sequence_named(await fate(connection, s.task_write("c", TASK), expected="7", of=s.task("c", TASK))) == "0"
        )
        assert await state(connection, s.TASKS_STREAM) | {"bytes": 0} == {
            "messages": 2, "bytes": 0, "first_seq": 1, "last_seq": 2, "num_subjects": 2,
        }  # fmt: skip


async def test_without_a_filter_the_condition_is_on_the_subject_as_stored(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        write = s.task_write("a", TASK)
        assert await fate(connection, write) == 1
        assert await fate(connection, write, expected="1") == 2
        assert sequence_named(await fate(connection, write, expected="1")) == "2"
        assert sequence_named(await fate(connection, write, expected="two")) == "2"
        # Naming the written subject compares with nothing: this is why the filter must name the stored one.
        assert sequence_named(await fate(connection, write, expected="2", of=write)) == "0"


async def test_a_condition_is_on_what_is_there_not_on_what_was(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        table = Table(connection)
        for place in ("a", "b"):
            await connection.store(s.task_write(place, TASK), b"{}")
        await table.delete_all([2])
        assert sequence_named(await fate(connection, s.task_write("b", TASK), expected="2", of=ANYWHERE)) == "1"
        await table.delete_all([1])
        assert await fate(connection, s.task_write("b", TASK), expected="0", of=ANYWHERE) == 3


async def test_of_ten_writers_to_each_of_ten_tasks_one_wins(broker: AnyBroker) -> None:
    wins: dict[str, list[int]] = {f"{number:016x}": [] for number in range(10)}

    async def race(writer: int) -> None:
        async with broker.connected(Role.COORDINATOR) as connection:
            table = Table(connection)
            fates = await table.write_all([(a_row(task, nonce=f"w{writer}"), 0) for task in wins])
            for task, sequence in zip(wins, fates, strict=True):
                if isinstance(sequence, int):
                    wins[task].append(writer)

    async with anyio.create_task_group() as tasks:
        for writer in range(10):
            tasks.start_soon(race, writer)
    assert {len(winners) for winners in wins.values()} == {1}
    async with broker.connected(Role.COORDINATOR) as connection:
        tops = await Table(connection).tops(list(wins))
        assert [top.row.nonce for top in tops] == [f"w{winners[0]}" for winners in wins.values()]  # type: ignore[union-attr]
        assert (await state(connection, s.TASKS_STREAM))["last_seq"] == 10


async def test_a_repeat_of_ones_own_write_is_known_by_its_nonce(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        table = Table(connection)
        assert await table.write(a_row(nonce="mine"), 0) == 1
        assert await table.write(a_row(nonce="mine"), 0) == 1
        assert await table.write(a_row(nonce="other"), 0) is None
        placed = moves.placed(a_row(), "node-1", "i")
        assert await table.write(placed, 1) == 2
        assert [one.sequence for one in await table.rows(TASK)] == [1, 2]


async def test_deleting_what_is_gone_or_never_was_is_refused_and_harms_nothing(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        table = Table(connection)
        for place in ("a", "b", "a"):  # the third replaces the first
            await connection.store(s.task_write(place, TASK), b"{}")
        for sequence in (1, 9, 0):
            with pytest.raises(ApiRefused) as caught:
                await connection.api(f"STREAM.MSG.DELETE.{s.TASKS_STREAM}", {"seq": sequence, "no_erase": True})
            assert caught.value.code == 10057
        await table.delete_all([2, 1, 3, 99])
        assert await state(connection, s.TASKS_STREAM) == {
            "messages": 0, "bytes": 0, "first_seq": 4, "last_seq": 3, "num_subjects": 0,
        }  # fmt: skip


async def test_a_task_has_one_outcome_whoever_writes_it(broker: AnyBroker) -> None:
    from tests.sim.contract.events import completed, failed

    async with broker.connected(Role.NODE, "node-1") as one, broker.connected(Role.COORDINATOR) as leader:
        log, leading = EventLog(one, "node-1"), EventLog(leader, "c1")
        assert not await log.is_own_completion(TASK)
        assert await log.finish(completed(TASK, "node-1"))
        assert not await leading.finish(failed(TASK))
        assert await leading.finish(failed("00000000000000bb"))
        assert not await log.finish(completed("00000000000000bb", "node-1"))
        assert await log.is_own_completion(TASK)
        assert not await log.is_own_completion("00000000000000bb")
        ended = await leading.outcomes([TASK, "00000000000000bb", "00000000000000cc"])
        kinds = [str(end.event.kind) if isinstance(end, StoredEvent) else end for end in ended]
        assert kinds == ["finished.completed", "finished.failed", None]


async def test_an_id_is_known_for_the_duplicate_window_and_no_longer(broker: AnyBroker) -> None:
    async with broker.connected(Role.PRODUCER, "ann") as connection:
        subject = s.requests("ann")
        assert await fate(connection, subject, id="job-1") == 1
        assert await fate(connection, subject, b"another body", id="job-1") == 1
        assert await fate(connection, subject, id="job-2") == 2
        await anyio.sleep(0.25)
        assert await fate(connection, subject, id="job-1") == 3


async def test_a_condition_is_looked_at_before_the_id(broker: AnyBroker) -> None:
    async with broker.connected(Role.COORDINATOR) as connection:
        write = s.task_write("a", TASK)
        assert await fate(connection, write, id="one", expected="0", of=ANYWHERE) == 1
        assert sequence_named(await fate(connection, write, id="one", expected="0", of=ANYWHERE)) == "1"
        assert await fate(connection, write, id="one", expected="1", of=ANYWHERE) == 1
