"""A node that is out of touch stops what counts against a limit before anybody else may begin it, and nothing else."""

import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus
from msgspec.structs import replace

from broker.roles import Role
from node import contact
from node.agent import Agent
from node.lock import NodeLock
from schemas.event import Completed
from schemas.ids import TaskId
from schemas.policy import OriginPolicy, Policy
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import coordinator
from tests.harness.link import Link, linked
from tests.harness.node import Rig, running_node
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.waiting import eventually, stays
from tests.integration.node.origin import Origin

pytestmark = pytest.mark.anyio

CLOCKS = replace(STEADY, node_lost_after_s=2.0)
"""A node's lock lives for two seconds then."""
ONE_AT_ONCE = Policy(origins={"127.0.0.1": OriginPolicy(running=1)})
BODY = random.Random(3).randbytes(5 << 20)
"""Some four seconds at the origin's slow pace."""
ROOM: dict[str, Any] = {"disk_low": 0, "disk_high": 0}


class Stage:
    """A leader with a limit, a node over a link that can be made bad, and who submits and watches."""

    def __init__(self, nobody_leads: anyio.Event, link: Link, rig: Rig, other: Path) -> None:
        self.nobody_leads = nobody_leads
        """Set it, and the coordinator ends."""
        self.link = link
        self.rig = rig
        self.other = other

    async def begins(self, origin: Origin, least: int = 1 << 20) -> TaskId:
        """A slow download that runs at the first node; its id."""
        origin.files["file"] = BODY
        task = await self.rig.submit(origin.url("slow/file"), size=len(BODY), options={"split": 1})
        await self.rig.partial(task, least)
        return task


@asynccontextmanager
async def staged(broker: Broker, folder: Path, policy: Policy = ONE_AT_ONCE) -> AsyncIterator[Stage]:
    async with (
        linked(broker.server.port) as link,
        anyio.create_task_group() as tasks,
        producer(broker) as ann,
        recording(broker) as seen,
    ):
        ends = anyio.Event()
        await tasks.start(_lead, broker, policy, ends)
        first = folder / "first"
        async with running_node(broker, first, clocks=CLOCKS, url=f"nats://{link.address}", **ROOM):
            yield Stage(ends, link, Rig(first, "node-1", ann, seen), folder / "second")
        ends.set()


async def _lead(broker: Broker, policy: Policy, ends: anyio.Event, *, task_status: TaskStatus[None]) -> None:
    async with coordinator(broker, settings=CLOCKS) as leader:
        (await leader.until_leading()).desk.policy_changed(policy)
        task_status.started()
        await ends.wait()


def whole(event: object) -> bool:
    return isinstance(event, Completed) and event.digest == f"sha-256={hashlib.sha256(BODY).hexdigest()}"


async def test_a_node_that_is_cut_off_stops_before_its_task_begins_elsewhere(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    async with staged(broker, tmp_path) as stage:
        task = await stage.begins(origin)
        async with running_node(broker, stage.other, "node-2", clocks=CLOCKS, **ROOM):
            stage.link.silence()
            done = await stage.rig.outcome(task)
        assert whole(done)
        assert isinstance(done, Completed)
        assert (done.node, done.attempt) == ("node-2", 2)
        assert origin.sending_max == 1, "never two at once"


async def test_what_counts_against_no_limit_goes_on(broker: Broker, tmp_path: Path, origin: Origin) -> None:
    async with staged(broker, tmp_path, Policy()) as stage:
        await stage.begins(origin)
        stage.link.silence()
        await eventually(lambda: origin.bytes_sent >= len(BODY), what="the whole file is sent")
        parts = [one.range for one in origin.asked if one.method == "GET"]
        assert len(parts) == len(set(parts)), "in one go"


async def test_back_in_touch_it_goes_on_where_it_was_within_the_attempt(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    """No leader meanwhile: nobody has taken it away."""
    async with staged(broker, tmp_path) as stage:
        task = await stage.begins(origin)
        stage.nobody_leads.set()
        stage.link.silence()
        await eventually(lambda: origin.sending == 0, what="it has stopped")
        kept = (stage.rig.staged(task) / "data").stat().st_size
        await stays(lambda: origin.sending == 0, for_s=2.5, what="it stays so")
        await stage.link.mend()
        async with coordinator(broker, "next", settings=CLOCKS):
            done = await stage.rig.outcome(task)
        assert whole(done)
        assert done.attempt == 1
        begun = [int(one.range.removeprefix("bytes=").partition("-")[0] or 0) for one in origin.asked if one.range]
        assert max(begun) >= kept // 2, "not from the beginning"


async def test_an_aria2c_that_does_not_stop_is_killed(broker: Broker, tmp_path: Path, origin: Origin) -> None:
    async with staged(broker, tmp_path) as stage:
        await stage.begins(origin)
        frozen = stage.rig.aria2c("large")
        assert frozen is not None
        frozen.suspend()
        stage.link.silence()
        await eventually(lambda: not frozen.is_running() or frozen.status() == "zombie", what="killed", within_s=5)
        await eventually(lambda: origin.sending == 0)


async def test_what_a_killed_process_had_is_not_begun_before_its_aria2c_has_ended(
    broker: Broker, tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact, "ORPHANS_S", 1.5)
    holds: list[tuple[float, bool]] = []
    hold = Agent.hold

    def noted(self: Agent, *, is_held: bool) -> int:
        holds.append((anyio.current_time(), is_held))
        return hold(self, is_held=is_held)

    monkeypatch.setattr(Agent, "hold", noted)
    state = tmp_path / "state"
    state.mkdir()
    (state / "instance").write_text("dead")
    async with broker.connected(Role.NODE, "node-1") as connection:
        await NodeLock(connection, "node-1", "dead").acquire(frozenset())
    async with running_node(broker, tmp_path, **ROOM):
        await eventually(lambda: any(not is_held for _, is_held in holds), what="nothing is held any more")
    since, until = holds[0][0], next(at for at, is_held in holds if not is_held)
    assert holds[0][1]
    assert until - since >= 1.5
