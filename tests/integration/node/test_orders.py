"""What is decided about a node at run time, on a real one with aria2c: slots, tags, draining; what it may take up."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from broker import keys
from broker.cluster import Client, open_client
from broker.listen import Heard, listening
from broker.roles import Role
from coordinator import moves
from node import allotment, clearing
from schemas import codec
from schemas import subjects as s
from schemas.control import NodesReply, NodeStanding, NodeView, Steer
from schemas.event import Completed
from schemas.heartbeat import Heartbeat
from schemas.nodes import NodeWishes
from schemas.orders import NodeChange, NodeOrder, OrderReply
from schemas.transfer import READ, ReadQuery
from tests.examples import TASK, a_request, a_row
from tests.harness.broker import STEADY, Broker
from tests.harness.leader import bare_term, coordinator
from tests.harness.node import working_node
from tests.harness.producing import Producer, producer
from tests.harness.recorder import Recorder, recording
from tests.harness.waiting import eventually, stays
from tests.integration.control.steps import answering
from tests.integration.node.origin import Origin

MIB = 1 << 20


class Stage:
    """A leader, who submits, who watches, and the latest heartbeat of each node."""

    def __init__(self, client: Client, submitter: Producer, seen: Recorder, beats: dict[str, Heartbeat]) -> None:
        self.client = client
        self.seen = seen
        self.beats = beats
        self._submitter = submitter

    async def submit(self, uri: str, **fields: Any) -> str:
        return str(await self._submitter.submit(uris=[uri], **fields))

    async def order(self, verb: str, *nodes: str, **fields: Any) -> None:
        kind = NodeChange if verb == "configure" else NodeOrder
        reply = await self.client.ask(verb, kind(nodes=nodes, **fields), OrderReply)
        assert all(result.ok for result in reply.results), reply

    async def beat(self, node: str, holds: Callable[[Heartbeat], object], within_s: float = 15) -> Heartbeat:
        """Wait for a heartbeat for which `holds`."""

        def heard() -> Heartbeat | None:
            beat = self.beats.get(node)
            return beat if beat is not None and holds(beat) else None

        return await eventually(heard, within_s=within_s, what=f"a heartbeat of {node}, not {self.beats.get(node)}")

    async def standing(self, node: str, standing: NodeStanding, within_s: float = 30) -> NodeView:
        async def stands() -> NodeView | None:
            views = (await self.client.ask("nodes", Steer(), NodesReply)).nodes
            return next((one for one in views if (one.node, one.standing) == (node, standing)), None)

        return await eventually(stands, within_s=within_s, what=f"{node} {standing}")


@asynccontextmanager
async def heartbeats(broker: Broker) -> AsyncIterator[dict[str, Heartbeat]]:
    """The latest of each node."""
    beats: dict[str, Heartbeat] = {}

    def hear(one: Heard) -> None:
        beat = codec.decode(one.data, Heartbeat)
        beats[beat.node] = beat

    async with broker.connected(Role.VIEWER) as viewer, listening(viewer, s.HEARTBEATS_ALL, hear):
        yield beats


@asynccontextmanager
async def on_stage(broker: Broker) -> AsyncIterator[Stage]:
    async with (
        coordinator(broker, settings=STEADY) as leader,
        producer(broker) as ann,
        recording(broker) as seen,
        heartbeats(broker) as beats,
        open_client(broker.url, broker.creds(Role.OPERATOR)) as client,
    ):
        await answering(leader, client)
        yield Stage(client, ann, seen, beats)


def running(beat: Heartbeat) -> int:
    return sum(held.phase == "active" for held in beat.held)


async def test_slots_change_under_load_and_what_runs_is_finished(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    origin.files["f"] = random.Random(1).randbytes(2 * MIB)
    async with on_stage(broker) as stage, working_node(broker, tmp_path, slots=4):
        tasks = [
            await stage.submit(origin.url("slow/f"), out=f"f{number}", options={"split": "1"}) for number in range(11)
        ]
        await stage.beat("node-1", lambda beat: running(beat) == 4)
        await stage.order("configure", "node-1", slots=1)
        began = {
            held.task
            for held in (await stage.beat("node-1", lambda beat: beat.slots == 1)).held
            if held.phase == "active"
        }
        assert len(began) == 4, "what runs goes on"
        await stays(
            lambda: running(stage.beats["node-1"]) <= 4 and not stage.seen.kinds(tasks[0]).count("released"), for_s=1
        )
        beat = await stage.beat(
            "node-1", lambda beat: running(beat) == 1 and not began & {one.task for one in beat.held}, 40
        )
        assert (beat.slots, beat.own_slots) == (1, 4)
        await stage.order("configure", "node-1", slots=7)
        beat = await stage.beat("node-1", lambda beat: running(beat) == 7)
        assert beat.slots == 7
        for task in tasks:
            assert isinstance(await stage.seen.outcome(task, within_s=40), Completed)
            assert stage.seen.kinds(task).count("started") == 1, "nothing was begun twice"


async def test_a_small_file_that_waits_inside_aria2_does_not_begin_beyond_fewer_slots(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    origin.files |= {"large": random.Random(1).randbytes(7 * MIB), "small": random.Random(2).randbytes(2 * MIB)}
    async with on_stage(broker) as stage, working_node(broker, tmp_path, slots=4):
        large = [
            await stage.submit(origin.url("slow/large"), out=f"large{number}", options={"split": "1"})
            for number in range(3)
        ]
        await stage.beat("node-1", lambda beat: running(beat) == 3)
        small = [await stage.submit(origin.url("slow/small"), out=f"s{number}", size=2 * MIB) for number in range(2)]
        await eventually(lambda: [stage.seen.kinds(task).count("assigned") for task in small] == [1, 1])
        await eventually(lambda: sum(event.kind == "started" for event in stage.seen.events) == 4)
        await stage.order("configure", "node-1", slots=1)
        decided = len(stage.seen.events)
        for task in (*large, *small):
            assert isinstance(await stage.seen.outcome(task, within_s=40), Completed)
        happened = [(event.kind, event.task) for event in stage.seen.events]
        assert max(happened.index(("started", task)) for task in small) >= decided
        *_, last = (asked for asked in origin.asked if (asked.method, asked.path) == ("GET", "/slow/small"))
        assert last.sent >= (3 * 7 + 2) * MIB, "it began while others ran, which are more than there are slots"


async def test_a_drained_node_finishes_what_runs_gives_back_the_rest_and_serves_its_files(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    origin.files |= {"f": random.Random(1).randbytes(2 * MIB), "g": b"small"}
    async with on_stage(broker) as stage, working_node(broker, tmp_path / "1", slots=2):
        done = await stage.submit(origin.url("file/g"), out="g")
        assert isinstance(await stage.seen.outcome(done), Completed)
        tasks = [
            await stage.submit(origin.url("slow/f"), out=f"f{number}", options={"split": "1"}) for number in range(3)
        ]
        held = (await stage.beat("node-1", lambda beat: running(beat) == 2 and len(beat.held) == 3)).held
        ran = {one.task for one in held if one.phase == "active"}
        async with working_node(broker, tmp_path / "2", "node-2", slots=2):
            await stage.standing("node-2", NodeStanding.ONLINE)
            await stage.order("drain", "node-1", reason="new disks")
            await stage.standing("node-1", NodeStanding.DRAINING)
            for task in tasks:
                outcome = await stage.seen.outcome(task, within_s=40)
                assert isinstance(outcome, Completed)
                assert (outcome.node, outcome.attempt) == (("node-1", 1) if task in ran else ("node-2", 2))
            await stage.standing("node-1", NodeStanding.DRAINED)
            assert await served(broker, "node-1", "g", 5) == b"small"


async def served(broker: Broker, node: str, path: str, size: int) -> bytes:
    """A finished file as the node serves it."""
    async with broker.connected(Role.OPERATOR) as connection:
        query = codec.encode(ReadQuery(task=TASK, path=path, bytes=size, offset=0, length=size))
        return (await connection.request(s.node_verb(node, READ), query)).data


async def test_a_node_that_is_drained_begins_nothing_even_where_nobody_asks_it_back(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    origin.files["f"] = b"small"
    key = s.node_settings_key("node-1")
    async with bare_term(broker) as term, recording(broker) as seen:
        await keys.write(term.connection, key, codec.encode(NodeWishes(draining=True)), expected=0)
        created = await term.cas(a_row(request=a_request(uris=(origin.url("file/f"),))), 0)
        assert created is not None
        await term.move(moves.placed(created.row, "node-1", "i"), created.sequence)
        async with heartbeats(broker) as beats, working_node(broker, tmp_path):
            await eventually(lambda: any(held.task == TASK for beat in beats.values() for held in beat.held))
            await stays(lambda: not seen.of(TASK), for_s=1.0, what="it is not begun")
            await keys.write(term.connection, key, b"", expected=None)
            await seen.sees("finished.completed", TASK)


async def test_drained_at_once_a_running_download_goes_on_elsewhere(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    origin.files["f"] = random.Random(1).randbytes(3 * MIB)
    async with on_stage(broker) as stage, working_node(broker, tmp_path / "1"):
        task = await stage.submit(origin.url("slow/f"), options={"split": "1"})
        await stage.beat("node-1", running)
        async with working_node(broker, tmp_path / "2", "node-2"):
            await stage.standing("node-2", NodeStanding.ONLINE)
            await stage.order("drain", "node-1", now=True)
            outcome = await stage.seen.outcome(task, within_s=40)
            assert isinstance(outcome, Completed)
            assert (outcome.node, outcome.attempt, outcome.bytes) == ("node-2", 2, 3 * MIB)
            await stage.standing("node-1", NodeStanding.DRAINED)
    retrying = [event for event in stage.seen.of(task) if event.kind == "retrying"]
    assert [event.counted for event in retrying] == [False], "a drain is no failure"  # type: ignore[union-attr]


async def test_a_paused_download_is_moved_off_a_drained_node_and_resumed_elsewhere(
    broker: Broker, tmp_path: Path, origin: Origin
) -> None:
    origin.files["f"] = random.Random(1).randbytes(2 * MIB)
    async with on_stage(broker) as stage, working_node(broker, tmp_path / "1"):
        task = await stage.submit(origin.url("slow/f"), options={"split": "1"})
        await stage.beat("node-1", running)
        await stage.client.steer("pause", (task,))
        await stage.seen.sees("paused", task)
        await stage.order("drain", "node-1")
        await stage.standing("node-1", NodeStanding.DRAINED)
        async with working_node(broker, tmp_path / "2", "node-2"):
            await stage.standing("node-2", NodeStanding.ONLINE)
            await stays(lambda: not stage.beats["node-2"].held, for_s=0.5, what="it is paused")
            await stage.client.steer("resume", (task,))
            outcome = await stage.seen.outcome(task, within_s=40)
            assert isinstance(outcome, Completed)
            assert outcome.node == "node-2"


async def test_what_is_decided_outlives_the_nodes_process_and_without_it_its_own_settings_hold(
    broker: Broker, tmp_path: Path
) -> None:
    async with on_stage(broker) as stage:
        async with working_node(broker, tmp_path, slots=3, tags=("hdd",)):
            beat = await stage.beat("node-1", lambda beat: beat.slots == 3)
            assert (beat.tags, beat.own_slots, beat.own_tags) == (("hdd",), None, None)
            await stage.order("configure", "node-1", slots=5, add_tags=("ssd",), remove_tags=("hdd",))
            await stage.beat("node-1", lambda beat: (beat.slots, beat.tags) == (5, ("ssd",)), within_s=3)
        stage.beats.clear()
        async with working_node(broker, tmp_path, slots=2, tags=("hdd",)):
            beat = await stage.beat("node-1", lambda beat: True)
            assert (beat.slots, beat.tags) == (5, ("ssd",)), "from the first heartbeat on"
            assert (beat.own_slots, beat.own_tags) == (2, ("hdd",))
            await stage.order("configure", "node-1", own_slots=True, own_tags=True)
            await stage.beat("node-1", lambda beat: (beat.slots, beat.tags) == (2, ("hdd",)), within_s=3)


async def test_a_node_that_can_not_read_what_is_decided_goes_by_its_own_settings(
    broker: Broker, tmp_path: Path
) -> None:
    async with broker.connected(Role.COORDINATOR) as connection, on_stage(broker) as stage:
        key = s.node_settings_key("node-1")
        await keys.write(connection, key, codec.encode(NodeWishes(slots=5)), expected=None)
        async with working_node(broker, tmp_path, slots=3):
            await stage.beat("node-1", lambda beat: beat.slots == 5)
            await keys.write(connection, key, b'{"slots": 0}', expected=None)
            await stage.beat("node-1", lambda beat: beat.slots == 3)


async def test_a_node_tells_what_it_is_said_to_have(broker: Broker, tmp_path: Path, origin: Origin) -> None:
    settings: dict[str, Any] = {"capabilities": ("http",), "bandwidth": 20 * MIB, "disk": 64 * MIB}
    async with on_stage(broker) as stage, working_node(broker, tmp_path, **settings):
        beat = await stage.beat("node-1", lambda beat: True)
        assert (beat.capabilities, beat.bandwidth, beat.disk_capacity_bytes) == (("http",), 20 * MIB, 64 * MIB)
        assert 60 * MIB < beat.disk_free_bytes <= 64 * MIB


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clearing, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(allotment, "COUNT_EVERY_S", 0.5)


@pytest.mark.usefixtures("quick_looks")
async def test_a_download_folder_grows_no_further_than_it_may(broker: Broker, tmp_path: Path, origin: Origin) -> None:
    origin.files["f"] = random.Random(1).randbytes(4 * MIB)
    there = tmp_path / "downloads" / "of-yesterday" / "big"
    there.parent.mkdir(parents=True)
    there.write_bytes(random.Random(2).randbytes(12 * MIB))
    room: dict[str, Any] = {"disk": 24 * MIB, "disk_low": MIB, "disk_high": MIB}
    file: dict[str, Any] = {"size": 4 * MIB, "options": {"split": "1"}}
    async with on_stage(broker) as stage, working_node(broker, tmp_path, slots=8, **room):
        await stage.beat("node-1", lambda beat: 0 < beat.disk_free_bytes <= 12 * MIB)
        for task in [await stage.submit(origin.url("slow/f"), out=f"f{number}", **file) for number in range(2)]:
            assert isinstance(await stage.seen.outcome(task), Completed)
        await stage.beat("node-1", lambda beat: 0 < beat.disk_free_bytes <= 4 * MIB)
        third = await stage.submit(origin.url("slow/f"), out="f3", **file)
        await stays(lambda: "started" not in stage.seen.kinds(third), for_s=1.0, what="there is no room for it")
        there.unlink()
        assert isinstance(await stage.seen.outcome(third, within_s=20), Completed)
