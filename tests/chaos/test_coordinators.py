"""Coordinators that die, freeze and come back."""

import random
import statistics
from contextlib import suppress
from functools import partial
from itertools import pairwise

import anyio
import pytest

from broker.cluster import Refused
from schemas.control import NodesReply, Steer
from tests.chaos.cluster import Cluster
from tests.chaos.load import steady_load
from tests.chaos.recovery import BREAKS, frozen_leader, leads_after_s
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROUNDS = 5
LEADS_WITHIN_S = 6.0
"""At worst; the median of ten, 3 s, is judged by `python -m benchmarks recovery`."""
PROGRESS_GAP_MAX_S = 5.0
"""About one a second is published; a crowded machine gets more."""
LARGE = 24 << 20
SMALL = 20_000
BURST = 150
MIDDLES = 5
"""How often the leader is frozen in the middle."""
TWO_MINUTES = 120.0


@pytest.mark.parametrize("how", BREAKS)
async def test_a_standby_leads_within_6_s_and_downloads_never_notice(pair: Cluster, how: str) -> None:
    task = await pair.submit("large", LARGE, bytes_per_s=50_000)
    await pair.witness.runs_on(task)
    async with steady_load(pair):
        took_s = [await leads_after_s(pair, how) for _ in range(ROUNDS)]
    assert max(took_s) <= LEADS_WITHIN_S, took_s
    print(f"{how}: median {statistics.median(took_s):.2f} s, worst {max(took_s):.2f} s")
    pair.origin.hurry()
    await pair.books.balance()
    assert pair.witness.outcome(task).attempt == 1
    moments = [at for at, progress in pair.witness.progress if progress.task == task]
    assert max(after - before for before, after in pairwise(moments)) < PROGRESS_GAP_MAX_S


async def test_a_leader_frozen_in_the_middle_of_its_work_does_no_harm_when_it_thaws(pair: Cluster) -> None:
    """It is frozen while it claims and places a burst, and thaws when another has ended all of it."""
    dice = random.Random(4)
    for number in range(MIDDLES):
        async with anyio.create_task_group() as group:
            group.start_soon(pair.submit_burst, f"burst-{number}", BURST, SMALL)
            claimed = count_of(pair, "queued") + dice.randrange(BURST)
            await eventually(partial(has_claimed, pair, claimed), within_s=60, every_s=0.001)
            async with frozen_leader(pair):
                await eventually(lambda: pair.books.asked.keys() <= pair.witness.ended(), within_s=60)
    await pair.books.balance()
    completed = [one.event for one in pair.witness.log if one.event.kind == "finished.completed"]
    assert {event.attempt for event in completed} == {1}
    assert pair.books.strays() == [], "nothing was fetched again"


async def test_whoever_asks_while_an_ex_leader_is_frozen_is_answered_by_the_new_one(pair: Cluster) -> None:
    async with frozen_leader(pair):
        await eventually(lambda: answers(pair), within_s=30, what="somebody answers")
        for _ in range(20):
            with anyio.fail_after(5):
                await pair.client.ask("nodes", Steer(), NodesReply)


async def test_the_only_coordinator_frozen_for_two_minutes_declares_nobody_lost(cluster: Cluster) -> None:
    async with steady_load(cluster, every_s=0.2, bytes_per_s=20_000) as tasks:
        large = [await cluster.submit(f"large-{n}", LARGE, bytes_per_s=20_000) for n in range(2)]
        begun = await eventually(lambda: begun_among(cluster, tasks, at_least=8), within_s=60, what="8 run at once")
        cluster.leader.freeze()
        frozen_at = anyio.current_time()
        await eventually(lambda: begun <= cluster.witness.ended(), within_s=60, what="nodes work on alone")
        await anyio.sleep(frozen_at + TWO_MINUTES - anyio.current_time())
        coordinator = cluster.coordinators[0]
        coordinator.thaw()
    cluster.origin.hurry()
    await cluster.books.balance()
    assert "node lost" not in coordinator.log
    assert {cluster.witness.outcome(task).attempt for task in [*tasks, *large]} == {1}
    starts = [one.event.task for one in cluster.witness.log if one.event.kind == "started"]
    assert len(starts) == len(set(starts)), "nothing ran again"


async def answers(cluster: Cluster) -> bool:
    with anyio.move_on_after(1):
        with suppress(Refused):
            await cluster.client.ask("nodes", Steer(), NodesReply)
            return True
    return False


def has_claimed(cluster: Cluster, count: int) -> bool:
    return count_of(cluster, "queued") >= count


def count_of(cluster: Cluster, kind: str) -> int:
    return sum(one.event.kind == kind for one in cluster.witness.log)


def begun_among(cluster: Cluster, tasks: list[str], *, at_least: int) -> set[str]:
    """Those of `tasks` that run now, once there are enough."""
    begun = {one.event.task for one in cluster.witness.log if one.event.kind == "started"}
    running = (begun & set(tasks)) - cluster.witness.ended()
    return running if len(running) >= at_least else set()
