"""Cancel, pause and resume, from the coordinator's answer to what aria2 does; what becomes of partial files."""

import base64
import os
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from broker.cluster import Client, Refused, open_client
from broker.roles import Role
from node import clearing, lane, main, reader
from node.aria2 import Aria2
from node.asking import Asker
from node.governor import Governor
from node.transfers import Status
from schemas.control import Cancel
from schemas.event import Cancelled
from schemas.ids import TaskId
from tests.harness.bad_origin import BadOrigin, Manner
from tests.harness.broker import Broker
from tests.harness.files import files_below
from tests.harness.leader import coordinator
from tests.harness.metalinks import Entry, meta4
from tests.harness.node import PATIENT, Rig, rig, running_node
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.tracker import make, seeding, tracking
from tests.harness.waiting import eventually

NEVER_S = 600.0
"""Of a timer that is not to be needed."""
REACHED_WITHIN_S = 10.0
"""A quiet machine takes 0.03 to 0.7 s, also with 64 of them; a busy one must not fail for that."""
MANY = 24
MIB = 1 << 20


class Lanes:
    """What the aria2c of a node really do."""

    def __init__(self) -> None:
        self.clients: list[Aria2] = []

    async def states(self) -> dict[str, Status]:
        """Of each download that one of them has."""
        ticks = [await client.tick() for client in self.clients]
        return {gid: one.status for tick in ticks for gid, one in tick.transfers.items()}

    async def active(self) -> set[str]:
        return {gid for gid, status in (await self.states()).items() if status is Status.ACTIVE}

    async def run(self, tasks: Iterable[str], within_s: float = 30) -> None:
        """Wait until all of these run."""
        await eventually(lambda: self._all(set(tasks)), within_s=within_s, what="they run")

    async def stop(self, tasks: Iterable[str], within_s: float = 30) -> None:
        """Wait until none of these runs."""
        await eventually(lambda: self._none(set(tasks)), within_s=within_s, what="none of them runs")

    async def _all(self, tasks: set[str]) -> bool:
        return tasks <= await self.active()

    async def _none(self, tasks: set[str]) -> bool:
        return not tasks & await self.active()


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> Lanes:
    """Of the node that is started next."""
    found = Lanes()

    class Known(Aria2):
        def __init__(self, *args: Any, **fields: Any) -> None:
            super().__init__(*args, **fields)
            found.clients.append(self)

    monkeypatch.setattr(lane, "Aria2", Known)
    return found


@asynccontextmanager
async def steered(broker: Broker) -> AsyncIterator[Client]:
    async with open_client(broker.url, broker.creds(Role.OPERATOR)) as client:
        yield client


async def steer(client: Client, verb: str, tasks: Iterable[str]) -> float:
    """Ask, and return when it was answered, seconds of the loop's clock."""
    reply = await client.steer(verb, tuple(tasks))
    assert all(result.ok for result in reply.results), reply
    return anyio.current_time()


async def test_what_is_asked_of_running_downloads_reaches_aria2_without_waiting_for_any_timer(
    broker: Broker, tmp_path: Path, bad: BadOrigin, lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clearing, "LOOK_EVERY_S", NEVER_S)
    monkeypatch.setattr(reader, "READ_EVERY_S", (NEVER_S, NEVER_S))
    bad.manners["f"] = Manner(body=bytes(64 * MIB), bytes_per_s=32 * 1024)
    async with rig(broker, tmp_path, slots=MANY) as node, steered(broker) as client:
        tasks = [await node.submit(bad.url("f"), options={"split": "1"}, out=f"f{n}") for n in range(MANY)]
        await lanes.run(tasks, within_s=60)
        # Nothing ends by itself from here on: no look is due for ten minutes.
        monkeypatch.setattr(lane, "TICK_S", dict.fromkeys(lane.TICK_S, NEVER_S))
        one, some = tasks[:1], tasks[1 : MANY // 2]

        took: dict[str, float] = {}
        began = await steer(client, "pause", some)
        await lanes.stop(some)
        took[f"pause {len(some)}"] = anyio.current_time() - began
        began = await steer(client, "resume", some)
        await lanes.run(some)
        took[f"resume {len(some)}"] = anyio.current_time() - began
        began = await steer(client, "cancel", one)
        await lanes.stop(one)
        took["cancel 1"] = anyio.current_time() - began
        began = await steer(client, "cancel", tasks[1:])
        await lanes.stop(tasks)
        took[f"cancel {MANY - 1}"] = anyio.current_time() - began
        for task in tasks:
            assert (await node.outcome(task)).kind == "finished.cancelled"
        await eventually(lambda: not any(node.staged(task).exists() for task in tasks))
        assert max(took.values()) < REACHED_WITHIN_S, took


async def cancelled(client: Client, node: Rig, task: TaskId) -> str:
    """Cancel it and keep what came; the reason of its outcome."""
    reply = await client.steer("cancel", (task,), None, Cancel(keep_partial=True))
    assert all(result.ok for result in reply.results), reply
    outcome = await node.outcome(task)
    assert isinstance(outcome, Cancelled)
    return outcome.reason


@pytest.mark.parametrize("split", ["1", "4"])
async def test_what_had_come_of_a_cancelled_download_is_kept_so_that_aria2_can_go_on_with_it(
    broker: Broker, tmp_path: Path, bad: BadOrigin, aria2c: Path, split: str
) -> None:
    body = random.Random(split).randbytes(12 * MIB)
    bad.manners["f"] = Manner(body=body, bytes_per_s=3 * MIB)
    async with rig(broker, tmp_path) as node, steered(broker) as client:
        (node.downloads / "films").mkdir(parents=True)
        (node.downloads / "films" / "big.iso.part").write_bytes(b"somebody else's")
        options = {"split": split, "max-connection-per-server": split}
        task = await node.submit(bad.url("f"), options=options, dir="films", out="big.iso")
        await node.partial(task, 3 * MIB)
        reason = await cancelled(client, node, task)
        assert "node-1 keeps what had come of it as films/big.iso.1.part" in reason
        kept = node.downloads / "films" / "big.iso.1.part"
        assert kept.stat().st_size >= 3 * MIB
        assert (node.downloads / "films" / "big.iso.part").read_bytes() == b"somebody else's"
        await eventually(lambda: not node.staged(task).exists())
        bad.manners["f"] = Manner(body=body)
        asked = len(bad.asked)
        command = [aria2c, "--continue", "--no-conf", "--dir", kept.parent, "--out", kept.name, "--split", split]
        await anyio.run_process([*map(str, command), "--max-connection-per-server=4", bad.url("f")])
        assert kept.read_bytes() == body
        assert any(one.first for one in bad.asked[asked:]), "it went on from what was kept"


async def test_a_download_that_was_paused_leaves_its_partial_file_too(
    broker: Broker, tmp_path: Path, bad: BadOrigin
) -> None:
    bad.manners["f"] = Manner(body=bytes(12 * MIB), bytes_per_s=3 * MIB)
    async with rig(broker, tmp_path) as node, steered(broker) as client:
        task = await node.submit(bad.url("f"), options={"split": "1"}, out="f")
        await node.partial(task, MIB)
        await steer(client, "pause", [task])
        await node.recorder.sees("paused", task)
        assert "as f.part" in await cancelled(client, node, task)
        assert (node.downloads / "f.part").stat().st_size >= MIB


async def test_a_task_whose_origin_is_still_being_asked_is_cancelled_at_once_and_leaves_nothing(
    broker: Broker, tmp_path: Path, bad: BadOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Asker, "ask", never)
    async with rig(broker, tmp_path) as node, steered(broker) as client:
        task = await node.submit(bad.url("f"), out="none")
        await phase(client, task, "probing")
        assert "had no partial files" in await cancelled(client, node, task)
        assert not (node.downloads / "none.part").exists()


async def test_a_task_whose_mirrors_are_still_being_asked_is_paused_and_cancelled_at_once(
    broker: Broker, tmp_path: Path, bad: BadOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Asker, "ask", never)
    async with rig(broker, tmp_path) as node, steered(broker) as client:
        # With its size and a name it is not looked at before it has a slot.
        task = await node.submit(bad.url("a"), bad.url("b"), out="f", size=MIB)
        await phase(client, task, "adding")
        await steer(client, "pause", [task])
        await node.recorder.sees("paused", task)
        await steer(client, "resume", [task])
        await phase(client, task, "adding")
        assert "had no partial files" in await cancelled(client, node, task)
        assert "started" not in node.recorder.kinds(task)


async def test_a_task_that_waits_for_its_origins_share_is_cancelled_at_once(
    broker: Broker, tmp_path: Path, bad: BadOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Governor, "begin", lambda *_: False)
    bad.manners["f"] = Manner(body=bytes(MIB))
    async with rig(broker, tmp_path) as node, steered(broker) as client:
        task = await node.submit(bad.url("f"), out="f")
        await phase(client, task, "adding")
        await steer(client, "cancel", [task])
        assert (await node.outcome(task)).kind == "finished.cancelled"


async def test_a_node_that_leaves_gives_back_what_a_silent_origin_holds_up(
    broker: Broker, tmp_path: Path, bad: BadOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Asker, "ask", never)
    monkeypatch.setattr(main, "LEAVE_WITHIN_S", NEVER_S)
    async with (
        coordinator(broker, settings=PATIENT),
        producer(broker) as submitter,
        recording(broker) as seen,
        running_node(broker, tmp_path) as leave,
        steered(broker) as client,
    ):
        looked_at = await submitter.submit(uris=[bad.url("f")])
        prepared = await submitter.submit(uris=[bad.url("a"), bad.url("b")], out="f", size=MIB)
        await phase(client, looked_at, "probing")
        await phase(client, prepared, "adding")
        leave.set()
        for task in (looked_at, prepared):
            await seen.sees("released", task)


async def never(*_: Any, **__: Any) -> None:
    await anyio.sleep_forever()


async def phase(client: Client, task: TaskId, phase: str) -> None:
    """Wait until its node says so."""

    async def is_so() -> bool:
        try:
            view = (await client.show(task)).task
        except Refused:
            return False  # nobody leads yet
        return view is not None and view.phase == phase

    await eventually(is_so, within_s=15, what=f"{task} {phase}")


async def test_of_a_metalink_what_is_whole_and_what_is_not_are_kept_in_one_folder(
    broker: Broker, tmp_path: Path, bad: BadOrigin
) -> None:
    bad.manners["a"] = Manner(body=b"a" * 1000)
    bad.manners["b"] = Manner(body=bytes(12 * MIB), bytes_per_s=3 * MIB)
    bad.manners["both.meta4"] = Manner(body=meta4(Entry("sub/a", [bad.url("a")]), Entry("b", [bad.url("b")])))
    async with rig(broker, tmp_path) as node, steered(broker) as client:
        task = await node.submit(bad.url("both.meta4"), kind="metalink")
        await node.partial(task, MIB)
        assert "as both.part" in await cancelled(client, node, task)
        assert (node.downloads / "both.part" / "sub" / "a").read_bytes() == b"a" * 1000
        assert (node.downloads / "both.part" / "b.part").stat().st_size >= MIB
        await eventually(lambda: not node.staged(task).exists())


@pytest.mark.slow
async def test_of_a_torrent_the_files_that_are_wanted_are_kept_under_their_own_names(
    broker: Broker, tmp_path: Path
) -> None:
    async with tracking() as tracker, rig(broker, tmp_path) as node, steered(broker) as client:
        several = make("several", {"a.bin": os.urandom(4 * MIB), "sub/b.bin": os.urandom(4 * MIB)}, tracker.url)
        alone = make("alone", os.urandom(8 * MIB), tracker.url)
        async with seeding(tmp_path / "seed", tracker, several, alone, bytes_per_s=MIB):
            for made in (several, alone):
                task = await node.submit(torrent=base64.b64encode(made.torrent).decode())
                await eventually(partial(has_come, node.staged(task) / "swarm"), within_s=30, what="some of it")
                assert f"as {made.name}.part" in await cancelled(client, node, task)
                await eventually(partial(is_gone, node.staged(task)))
        names = {path.name for path in files_below(node.downloads / "several.part")}
        assert names
        assert names <= {"a.bin", "b.bin"}
        assert (node.downloads / "alone.part").is_file()


def has_come(swarm: Path) -> bool:
    return swarm.exists() and any(one.name.isdigit() and one.stat().st_blocks for one in swarm.iterdir())


def is_gone(path: Path) -> bool:
    return not path.exists()
