"""Blocking work in threads: results, errors, and trips that are shared."""

import threading
import time
from functools import partial

import anyio
import pytest

from node.hands import TRIP_JOBS_MAX, Hands
from tests.harness.waiting import eventually


async def test_work_is_done_in_a_thread_and_its_result_comes_back() -> None:
    async with anyio.create_task_group() as tasks:
        hands = Hands(2)
        hands.start(tasks)
        assert await hands.do(threading.current_thread) is not threading.main_thread()
        tasks.cancel_scope.cancel()


async def test_an_error_reaches_who_asked_and_nobody_else() -> None:
    results: list[object] = []
    async with anyio.create_task_group() as tasks:
        hands = Hands(1)
        hands.start(tasks)

        async def fail() -> None:
            with pytest.raises(OSError, match="planted"):
                await hands.do(planted)

        async def succeed() -> None:
            results.append(await hands.do(lambda: "fine"))

        def planted() -> None:
            raise OSError("planted")

        async with anyio.create_task_group() as askers:
            for ask in (fail, succeed, fail, succeed):
                askers.start_soon(ask)
        tasks.cancel_scope.cancel()
    assert results == ["fine", "fine"]


async def test_what_waits_shares_trips_and_no_more_run_at_once_than_there_are_threads() -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def work() -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1
        return threading.get_ident()

    async with anyio.create_task_group() as tasks:
        hands = Hands(2)
        hands.start(tasks)
        async with anyio.create_task_group() as askers:
            for _ in range(10 * TRIP_JOBS_MAX):
                askers.start_soon(hands.do, work)
        tasks.cancel_scope.cancel()
    assert 1 <= most <= 2


async def test_a_caller_that_gives_up_does_not_stop_the_others() -> None:
    release = threading.Event()
    async with anyio.create_task_group() as tasks:
        hands = Hands(1)
        hands.start(tasks)
        with anyio.move_on_after(0.05):
            await hands.do(release.wait)
        release.set()
        with anyio.fail_after(2):
            assert await hands.do(lambda: 1) == 1
        tasks.cancel_scope.cancel()


async def test_errands_are_run_though_nobody_waits_for_them() -> None:
    done: list[int] = []
    async with anyio.create_task_group() as tasks:
        hands = Hands(2)
        hands.start(tasks)
        for number in range(5):
            hands.do_sometime(partial(done.append, number))
        await eventually(lambda: sorted(done) == list(range(5)), within_s=5)
        tasks.cancel_scope.cancel()


async def test_an_errand_that_fails_is_told_to_nobody_and_ends_nothing() -> None:
    def planted() -> None:
        raise ValueError("planted")

    async with anyio.create_task_group() as tasks:
        hands = Hands(1)
        hands.start(tasks)
        hands.do_sometime(planted)
        assert await hands.do(lambda: "fine") == "fine"
        assert await hands.do(lambda: "still fine") == "still fine"
        tasks.cancel_scope.cancel()
