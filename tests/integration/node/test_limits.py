"""Limits of a node and of single tasks that change while they run, a paused node, and defaults of aria2's options."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.control import PolicyReply, PolicySet, PolicySetReply, SetLimits, Steer, SteerReply
from schemas.event import Completed
from schemas.task import TaskRow
from schemas.view import limits
from tests.harness.broker import Broker
from tests.harness.metered import MeteredOrigin, metered
from tests.harness.node import working_node
from tests.harness.waiting import eventually, stays
from tests.integration.node.origin import Origin
from tests.integration.node.test_orders import Stage, on_stage

MB = 1_000_000
SIZE = 40 * MB
WHOLE = {"split": "1"}


@pytest.fixture
async def fast() -> AsyncIterator[MeteredOrigin]:
    async with metered() as origin:
        yield origin


async def limited(stage: Stage, task: str, *, download: int) -> str:
    (result,) = (await stage.client.ask("limit", SetLimits(ids=(task,), download=download), SteerReply)).results
    assert result.ok, result
    return result.said


async def slow(origin: MeteredOrigin, most: float) -> None:
    await eventually(lambda: is_below(origin, most), within_s=8, what=f"less than {most} bytes a second")


async def is_below(origin: MeteredOrigin, most: float) -> bool:
    return await origin.rate(1.0) <= most


async def test_a_running_task_follows_its_limit_and_goes_on(
    broker: Broker, tmp_path: Path, fast: MeteredOrigin
) -> None:
    async with on_stage(broker) as stage, working_node(broker, tmp_path):
        task = await stage.submit(fast.url(SIZE), options={**WHOLE, "max-download-limit": "8M"})
        await eventually(lambda: fast.bytes > 10 * MB, what="a download at some speed")
        assert await limited(stage, task, download=MB) == "downloads at 977 KiB/s"
        await slow(fast, 1.3 * MB)
        shown = (await stage.client.show(task)).task
        assert shown is not None
        assert limits(shown) == ["downloads at 977 KiB/s"]
        assert await limited(stage, task, download=0) == "downloads without a limit of its own"
        assert isinstance(await stage.seen.outcome(task, within_s=10), Completed)
        assert stage.seen.kinds(task).count("started") == 1, "it was not begun anew"
        (late,) = (await stage.client.ask("limit", SetLimits(ids=(task,), download=1), SteerReply)).results
        assert not late.matched or "completed already" in late.said


async def test_a_nodes_own_limit_holds_over_all_and_is_told(
    broker: Broker, tmp_path: Path, fast: MeteredOrigin
) -> None:
    async with on_stage(broker) as stage, working_node(broker, tmp_path):
        options = {**WHOLE, "max-download-limit": "4M"}
        tasks = [await stage.submit(fast.url(SIZE), options=options) for _ in range(2)]
        await eventually(lambda: fast.bytes > 10 * MB, what="downloads at some speed")
        await stage.order("configure", "node-1", download_limit=2 * MB, upload_limit=MB)
        beat = await stage.beat("node-1", lambda beat: beat.own_limit_bytes_per_s == 2 * MB)
        assert (beat.upload_limit_bytes_per_s, beat.limit_bytes_per_s) == (MB, None)
        await slow(fast, 2.5 * MB)
        await stage.order("configure", "node-1", download_limit=0)
        for task in tasks:
            await limited(stage, task, download=0)
            assert isinstance(await stage.seen.outcome(task, within_s=15), Completed)
        assert [stage.seen.kinds(task).count("started") for task in tasks] == [1, 1]


async def test_a_paused_node_keeps_what_it_holds_and_goes_on_from_there(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    origin.files["f"] = random.Random(1).randbytes(5 << 20)
    async with on_stage(broker) as stage, working_node(broker, tmp_path):
        task = await stage.submit(origin.url("slow/f"), options=WHOLE)
        data = tmp_path / "downloads" / ".downdraft" / task / "data"
        await eventually(lambda: data.exists() and data.stat().st_size > 2 << 20, what="a part of it on the disk")
        await stage.order("configure", "node-1", paused=True)
        await stage.beat("node-1", lambda beat: beat.paused and beat.running == 0)
        sent, asked = origin.bytes_sent, len(origin.asked)
        waiting = await stage.submit(origin.url("file/f"), out="later")
        await stays(lambda: origin.bytes_sent == sent and data.stat().st_size > 2 << 20, for_s=1)
        assert "assigned" not in stage.seen.kinds(waiting), "a paused node is given nothing"
        await stage.order("configure", "node-1", paused=False)
        for one in (task, waiting):
            assert isinstance(await stage.seen.outcome(one, within_s=30), Completed)
        assert stage.seen.kinds(task).count("assigned") == 1, "it stayed there"
        ranges = [one.range for one in origin.asked[asked:] if one.method == "GET" and one.path == "/slow/f"]
        assert int(ranges[-1].removeprefix("bytes=").partition("-")[0]) >= 2 << 20, (
            "what was there was not fetched again"
        )


async def test_what_a_node_and_a_policy_say_holds_below_the_request(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    origin.files |= dict.fromkeys(("a", "b", "c"), b"x" * 1000)
    own = {"user-agent": "of the node", "referer": "http://node/"}
    async with on_stage(broker) as stage, working_node(broker, tmp_path, options=own):
        stands = await stage.client.ask("policy", Steer(), PolicyReply)
        policy = {"options": {"user-agent": "of the cluster", "http-user": "x"}}
        refused = await stage.client.ask("policy-set", PolicySet(policy=policy, revision=0), PolicySetReply)
        assert (refused.ok, refused.where) == (False, "options.http-user")
        policy = {"options": {"user-agent": "of the cluster", "http-no-cache": "true"}}
        done = await stage.client.ask("policy-set", PolicySet(policy=policy, revision=stands.revision), PolicySetReply)
        assert done.ok, done
        for name, options in (("a", {}), ("b", {"user-agent": "of the request"})):
            task = await stage.submit(origin.url(f"file/{name}"), options=options)
            outcome = await stage.seen.outcome(task)
            assert isinstance(outcome, Completed)
            assert outcome.request is not None
            assert outcome.request.options == options, "to be tried again as it was asked for"
    agents = {one.headers["User-Agent"] for one in origin.asked if one.method == "GET" and one.path.endswith("/a")}
    assert agents == {"of the node"}
    (last,) = [one for one in origin.asked if one.method == "GET" and one.path.endswith("/b")]
    told = [last.headers.get(name) for name in ("User-Agent", "Referer", "Cache-Control")]
    assert told == ["of the request", "http://node/", "no-cache"]


def test_a_row_that_leaves_its_node_forgets_the_defaults_of_then() -> None:
    from coordinator import moves
    from tests.examples import a_row

    placed = moves.placed(a_row(), "node-1", "i", defaults={"split": "4"})
    assert placed.defaults == {"split": "4"}
    back = moves.given_back(placed, "drained")
    assert isinstance(back.row, TaskRow)
    assert replace(back.row).defaults == {}
