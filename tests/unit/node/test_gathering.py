"""What waits for workers: taken once, in order, and no worker sleeps while something waits."""

import anyio
import pytest

from node.gathering import Gathering

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_what_waits_is_taken_in_order_and_no_more_than_asked_for() -> None:
    gathering: Gathering[int] = Gathering()
    for number in range(5):
        gathering.put(number)
    assert [await gathering.take(3), await gathering.take(3)] == [[0, 1, 2], [3, 4]]


async def test_each_of_several_workers_is_woken() -> None:
    gathering: Gathering[int] = Gathering()
    taken: list[int] = []

    async def work() -> None:
        taken.extend(await gathering.take(1))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as workers:
            for _ in range(3):
                workers.start_soon(work)
            await anyio.wait_all_tasks_blocked()
            for number in range(3):
                gathering.put(number)
    assert sorted(taken) == [0, 1, 2]
