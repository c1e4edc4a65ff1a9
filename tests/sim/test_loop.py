"""The simulated loop: time that jumps, processes that freeze and die, and an end to what would hang."""

import asyncio
import random

import anyio
import pytest

from tests.sim.loop import BEGINS_AT_S, Process, SimLoop, Stuck


@pytest.fixture
def loop() -> SimLoop:
    return SimLoop(random.Random(3))


def test_time_jumps_to_the_next_timer(loop: SimLoop) -> None:
    async def sleep() -> float:
        await anyio.sleep(3600)
        return anyio.current_time()

    assert loop.run_until_complete(sleep()) == BEGINS_AT_S + 3600
    loop.close()


def test_a_frozen_process_goes_on_with_what_became_due(loop: SimLoop) -> None:
    beats: list[float] = []

    async def beat() -> None:
        while True:
            await asyncio.sleep(1)
            beats.append(loop.time() - BEGINS_AT_S)

    async def world() -> None:
        process = Process(loop, "p")
        beating = loop.create_task(beat(), context=process.context)
        await asyncio.sleep(2.5)
        process.freeze()
        await asyncio.sleep(10)
        process.thaw()
        await asyncio.sleep(1.2)
        beating.cancel()

    loop.run_until_complete(world())
    assert beats == [1, 2, 12.5, 13.5]
    loop.close()


def test_a_dead_process_runs_nothing_any_more_not_even_its_finally(loop: SimLoop) -> None:
    said: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            said.append("tidied up")

    async def world() -> None:
        process = Process(loop, "p")
        kept = loop.create_task(work(), context=process.context)
        await asyncio.sleep(0.5)
        process.die()
        kept.cancel()
        await asyncio.sleep(5)
        assert not said

    loop.run_until_complete(world())
    loop.close()


def test_a_loop_that_would_hang_says_who_waits_for_what(loop: SimLoop) -> None:
    async def waiting_for_nothing() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match="waiting_for_nothing"):
        loop.run_until_complete(waiting_for_nothing())
