"""An aria2c that dies, freezes, talks nonsense or stands still: it is replaced, and its tasks go on."""

import hashlib
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from broker.listen import listening
from broker.roles import Role
from node import lane as module
from schemas import codec
from schemas import subjects as s
from schemas.event import AnyEvent, Completed
from schemas.heartbeat import Heartbeat
from schemas.ids import TaskId
from schemas.task import FailureClass
from tests.harness import standin
from tests.harness.bad_origin import BadOrigin, Manner, misbehaving
from tests.harness.broker import Broker
from tests.harness.node import Rig, rig
from tests.harness.waiting import eventually

pytestmark = pytest.mark.anyio

BODY = random.Random(1).randbytes(200_000)
SPLIT = {"split": 2}
COUNT = 12


@pytest.fixture
async def bad() -> AsyncIterator[BadOrigin]:
    async with misbehaving() as origin:
        origin.manners["slow"] = Manner(body=BODY, etag='"1"', bytes_per_s=100_000)
        origin.manners["quick"] = Manner(body=BODY, etag='"1"')
        yield origin


def check(outcome: AnyEvent) -> None:
    assert isinstance(outcome, Completed), outcome
    assert outcome.digest == f"sha-256={hashlib.sha256(BODY).hexdigest()}"
    assert outcome.attempt == 1


async def submit_many(node: Rig, bad: BadOrigin) -> list[TaskId]:
    tasks = [await node.submit(bad.url("slow")) for _ in range(COUNT)]
    await node.partial(tasks[0], 50_000)
    return tasks


@pytest.mark.parametrize(
    ("number", "within_s"),
    [(signal.SIGKILL, 5), pytest.param(signal.SIGSTOP, 20, marks=pytest.mark.slow)],
    ids=["killed", "frozen"],
)
async def test_many_small_files_go_on_after_their_aria2c(
    node: Rig, bad: BadOrigin, number: signal.Signals, within_s: float
) -> None:
    tasks = await submit_many(node, bad)
    before = node.aria2c("small")
    assert before is not None
    asked = len(bad.gets("slow"))
    before.send_signal(number)
    await eventually(lambda: len(bad.gets("slow")) > asked, within_s=within_s, what="asked for the rest")
    await eventually(lambda: any(one.first for one in bad.gets("slow")[asked:]), what="… and not from the beginning")
    for task in tasks:
        check(await node.outcome(task))
        assert node.failures(task) == []
    await eventually(lambda: not before.is_running() or before.status() == "zombie")


@pytest.mark.parametrize(
    ("how", "lane"),
    [
        ("truncated", "small"),
        ("wrong ids", "large"),
        ("endless", "small"),
        pytest.param("500", "small", marks=pytest.mark.slow),
        pytest.param("html", "large", marks=pytest.mark.slow),
        pytest.param("wrong ids", "small", marks=pytest.mark.slow),
        pytest.param("closes", "large", marks=pytest.mark.slow),
    ],
)
async def test_an_aria2c_that_talks_nonsense_is_replaced_and_its_task_goes_on(
    broker: Broker, tmp_path: Path, bad: BadOrigin, aria2c: Path, how: str, lane: str
) -> None:
    binary = standin.talks_nonsense(tmp_path / "stand-in", aria2c, lane, how)
    async with rig(broker, tmp_path, aria2_binary=str(binary)) as node:
        task = await node.submit(bad.url("slow"), options=SPLIT if lane == "large" else {})
        check(await node.outcome(task))
        assert node.failures(task) == []
        assert standin.starts(tmp_path / "stand-in") == 2


@pytest.mark.parametrize("lane", ["small", pytest.param("large", marks=pytest.mark.slow)])
async def test_an_aria2c_whose_transfers_all_stand_still_is_replaced_within_the_attempt(
    broker: Broker, tmp_path: Path, bad: BadOrigin, aria2c: Path, lane: str
) -> None:
    binary = standin.talks_nonsense(tmp_path / "stand-in", aria2c, lane, "still")
    async with rig(broker, tmp_path, aria2_binary=str(binary), stall_timeout_s=4) as node:
        task = await node.submit(bad.url("quick"), options=SPLIT if lane == "large" else {})
        check(await node.outcome(task))
        assert node.failures(task) == []


async def test_an_aria2c_that_can_not_be_started_for_a_while_is_waited_for(
    broker: Broker, tmp_path: Path, bad: BadOrigin, aria2c: Path
) -> None:
    binary = tmp_path / "aria2c"
    binary.symlink_to(aria2c)
    async with rig(broker, tmp_path, aria2_binary=str(binary)) as node:
        running, waiting = await node.submit(bad.url("slow")), await node.submit(bad.url("slow"))
        await node.partial(running, 50_000)
        binary.unlink()
        child = node.aria2c("small")
        assert child is not None
        child.kill()
        later = await node.submit(bad.url("slow"))
        await anyio.sleep(3)
        binary.symlink_to(aria2c)
        for task in (running, waiting, later):
            check(await node.outcome(task))
            assert node.failures(task) == []


async def test_a_node_whose_aria2c_does_not_come_back_leaves_its_tasks_to_others(
    broker: Broker, tmp_path: Path, bad: BadOrigin, aria2c: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_GRACE_S", 1.0)
    binary = tmp_path / "aria2c"
    binary.symlink_to(aria2c)
    async with rig(broker, tmp_path, aria2_binary=str(binary)) as node:
        task = await node.submit(bad.url("slow"))
        await node.partial(task, 50_000)
        binary.unlink()
        child = node.aria2c("small")
        assert child is not None
        child.kill()
        failed = await node.failure(task)
        assert (failed.failure, failed.code) == (FailureClass.NODE, "aria2c")
        assert "can't be started" in failed.reason
        heard: list[Heartbeat] = []
        async with (
            broker.connected(Role.VIEWER) as connection,
            listening(connection, s.heartbeat(node.name), lambda one: heard.append(codec.decode(one.data, Heartbeat))),
        ):
            await eventually(lambda: heard and "aria2c for small files does not start" in heard[-1].trouble)
            binary.symlink_to(aria2c)
            await eventually(lambda: not heard[-1].trouble, within_s=15)


@pytest.mark.parametrize("lane", ["small", pytest.param("large", marks=pytest.mark.slow)])
async def test_a_task_that_aria2c_dies_of_fails_alone(
    broker: Broker, tmp_path: Path, bad: BadOrigin, aria2c: Path, lane: str
) -> None:
    binary = standin.dies_of(tmp_path / "stand-in", aria2c, lane, "poison")
    bad.manners["poison"] = Manner(body=BODY)
    options = SPLIT if lane == "large" else {}
    async with rig(broker, tmp_path, aria2_binary=str(binary)) as node:
        before = [await node.submit(bad.url("slow"), options=options) for _ in range(3)]
        poison = await node.submit(bad.url("poison"), options=options, max_attempts=1)
        after = [await node.submit(bad.url("slow"), options=options) for _ in range(3)]
        for task in (*before, *after):
            check(await node.outcome(task))
            assert node.failures(task) == []
        failed = await node.failure(poison)
        assert (failed.failure, failed.code) == (FailureClass.NODE, "aria2c-crash")
        assert standin.starts(tmp_path / "stand-in") <= 8
