"""One step at a time for each task; a batch takes those that are free."""

import anyio
import anyio.lowlevel
import pytest

from coordinator.tasklocks import TaskLocks


async def test_a_task_is_held_by_one_at_a_time_and_goes_to_who_waits() -> None:
    locks, order = TaskLocks(), []

    async def hold(name: str) -> None:
        async with locks.only("a"):
            order.append(f"{name} in")
            await anyio.lowlevel.checkpoint()
            order.append(f"{name} out")

    async with anyio.create_task_group() as tasks:
        for name in ("one", "two", "three"):
            tasks.start_soon(hold, name)
    assert [word.split()[1] for word in order] == ["in", "out"] * 3
    assert len(locks) == 0


async def test_other_tasks_are_not_held_up() -> None:
    locks = TaskLocks()
    async with locks.only("a"):
        with anyio.fail_after(1):
            async with locks.only("b"):
                assert "a" in locks
                assert "b" in locks


async def test_a_batch_is_held_whole_and_freed_whole_whatever_happens() -> None:
    freed: list[str] = []
    locks = TaskLocks(freed.append)
    with pytest.raises(ValueError, match="planted"), locks.all_of(("a", "b")):
        assert "a" in locks
        raise ValueError("planted")
    assert freed == ["a", "b"]
    assert len(locks) == 0


async def test_who_waits_for_a_task_of_a_batch_gets_it_afterwards() -> None:
    locks, got = TaskLocks(), anyio.Event()

    async def wait() -> None:
        async with locks.only("b"):
            got.set()

    async with anyio.create_task_group() as tasks:
        with locks.all_of(("a", "b")):
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert not got.is_set()
        with anyio.fail_after(1):
            await got.wait()


async def test_a_waiter_that_is_cancelled_leaves_nothing_held() -> None:
    locks = TaskLocks()
    async with locks.only("a"):
        with anyio.move_on_after(0.01):
            async with locks.only("a"):
                pytest.fail("it is held")
    assert "a" not in locks
