"""BitTorrent from end to end: a real tracker, a real aria2c that has the files, and a node that gets them."""

import base64
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker import payloads
from broker.cluster import open_client
from broker.listen import Heard, listening
from broker.roles import Role
from node.disk import PROBE_NAME
from schemas import codec
from schemas import subjects as s
from schemas.event import Completed
from schemas.heartbeat import Progress
from schemas.request import STAGING_NAME
from tests.harness.broker import Broker
from tests.harness.files import files_below
from tests.harness.leader import coordinator
from tests.harness.node import PATIENT, Rig, running_node
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.tracker import Made, Tracker, make, seeding, tracking
from tests.harness.waiting import eventually
from tests.integration.node.origin import Origin

SIZE = 200_000
SLOW_BYTES = 3 << 20
SLOW_BYTES_PER_S = 1 << 20


@pytest.fixture
async def tracker() -> AsyncIterator[Tracker]:
    async with tracking() as running:
        yield running


def inline(made: Made) -> str:
    return base64.b64encode(made.torrent).decode()


def digest(body: bytes) -> str:
    return f"sha-256={hashlib.sha256(body).hexdigest()}"


def below(folder: Path) -> dict[str, bytes]:
    """What lies in a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files_below(folder)}


async def completed(node: Rig, task: str, within_s: float = 40) -> Completed:
    outcome = await node.outcome(task, within_s)  # type: ignore[arg-type]
    assert isinstance(outcome, Completed), outcome
    return outcome


async def test_a_torrent_may_come_from_an_address_the_request_the_object_store_or_its_peers(
    node: Rig, broker: Broker, tracker: Tracker, origin: Origin, tmp_path: Path
) -> None:
    made = {name: make(name, os.urandom(SIZE), tracker.url) for name in ("url", "inline", "object", "magnet")}
    origin.files["x.torrent"] = made["url"].torrent
    name = payloads.name_of(made["object"].torrent, ".torrent")
    async with broker.connected(Role.PRODUCER, "ann") as ann:
        await payloads.put(ann, name, made["object"].torrent)
    async with seeding(tmp_path / "seed", tracker, *made.values()):
        tasks = [
            await node.submit(origin.url("file/x.torrent")),
            await node.submit(torrent=inline(made["inline"])),
            await node.submit(torrent=f"object:{name}"),
            await node.submit(made["magnet"].magnet(tracker.url)),
        ]
        outcomes = [await completed(node, task) for task in tasks]
    for outcome, one in zip(outcomes, made.values(), strict=True):
        body = one.files[one.name]
        assert (outcome.path, outcome.bytes, outcome.digest) == (one.name, SIZE, digest(body))
        assert outcome.files == ()
        assert (node.downloads / one.name).read_bytes() == body


async def test_of_a_magnet_links_files_only_those_that_are_selected_are_stored(
    node: Rig, tracker: Tracker, tmp_path: Path
) -> None:
    files = {"a.bin": os.urandom(100_000), "sub/b.bin": os.urandom(50_000), "sub/c.bin": os.urandom(70_000)}
    made = make("folder", files, tracker.url)
    async with seeding(tmp_path / "seed", tracker, made):
        task = await node.submit(made.magnet(tracker.url), options={"select-file": "1,3"}, dir="got")
        outcome = await completed(node, task)
    wanted = {"a.bin": files["a.bin"], "sub/c.bin": files["sub/c.bin"]}
    assert (outcome.path, outcome.bytes, outcome.digest) == ("got/folder", 170_000, "")
    assert {(one.path, one.digest) for one in outcome.files} == {
        (f"got/folder/{path}", digest(body)) for path, body in wanted.items()
    }
    assert below(node.downloads / "got/folder") == wanted


@pytest.mark.slow
async def test_a_torrent_is_given_to_others_for_as_long_as_was_asked(
    node: Rig, broker: Broker, tracker: Tracker, tmp_path: Path
) -> None:
    made = make("shared", os.urandom(SIZE), tracker.url)
    phases: set[str] = set()

    def hear(heard: Heard) -> None:
        phases.add(codec.decode(heard.data, Progress).phase)

    async with (
        seeding(tmp_path / "seed", tracker, made),
        broker.connected(Role.VIEWER) as viewer,
        listening(viewer, s.PROGRESS_ALL, hear),
    ):
        task = await node.submit(torrent=inline(made), options={"seed-time": "0.05"})
        await eventually(lambda: "seeding" in phases, within_s=30, what="seeding")
        assert not (node.downloads / "shared").exists()
        outcome = await completed(node, task)
    assert outcome.bytes == SIZE


async def test_web_seeds_of_the_request_serve_where_there_is_no_tracker(node: Rig, origin: Origin) -> None:
    body = os.urandom(SIZE)
    origin.files["seeded"] = body
    outcome = await completed(node, await node.submit(origin.url("file/seeded"), torrent=inline(make("seeded", body))))
    assert outcome.digest == digest(body)


async def test_what_can_never_be_downloaded_ends_at_once_with_the_reason(
    node: Rig, tracker: Tracker, origin: Origin, tmp_path: Path
) -> None:
    origin.files["bad.torrent"] = b"<html>sign in</html>"
    made = make("three", {"a": b"1", "b": b"2", "c": b"3"}, tracker.url)
    escaping = make("escaping", {"../../evil": b"1", "b": b"2"}, tracker.url)
    away = make("away", b"1", "http://169.254.169.254/announce")
    reasons = {
        await node.submit(origin.url("file/bad.torrent")): "the torrent can't be used: it is no torrent",
        await node.submit(torrent=inline(escaping)): "file 1 would lead out of its folder: '..'",
        await node.submit(torrent=inline(made), options={"select-file": "2-4"}): "names file 4, but the torrent has 3",
        await node.submit(torrent="object:nothing"): "there is no object 'nothing' in the bucket 'payloads'",
        await node.submit(torrent=inline(away), max_attempts=1): "this node goes to none of its 1 trackers",
        await node.submit(make("x", b"1").magnet(), max_attempts=1): "it names no tracker, and node.dht",
    }
    for task, reason in reasons.items():
        outcome = await node.outcome(task)
        assert outcome.kind == "finished.failed"
        assert reason in getattr(outcome, "reason", ""), outcome
    await eventually(
        lambda: files_below(node.downloads) == [node.downloads / STAGING_NAME / PROBE_NAME], what="nothing to be left"
    )
    assert "evil" not in {file.name for file in files_below(tmp_path)}
    assert not (tmp_path.parent / "evil").exists()


async def test_a_torrent_without_peers_is_tried_again_later(broker: Broker, tracker: Tracker, tmp_path: Path) -> None:
    made = make("lonely", os.urandom(SIZE), tracker.url, "http://[fe80::1]/announce")
    async with (
        coordinator(broker, settings=PATIENT),
        producer(broker) as submitter,
        recording(broker) as recorder,
        running_node(broker, tmp_path, stall_timeout_s=2.0),
    ):
        node = Rig(tmp_path, "node-1", submitter, recorder)
        failure = await node.failure(await node.submit(torrent=inline(made), max_attempts=2))
    assert (failure.code, failure.failure) == ("no-peers", "transient")
    assert "nobody who has this torrent was found in" in failure.reason
    assert "does not go to 1 of its trackers" in failure.reason


@pytest.mark.slow
async def test_a_node_that_is_killed_goes_on_where_it_was(broker: Broker, tracker: Tracker, tmp_path: Path) -> None:
    body = os.urandom(SLOW_BYTES)
    made = make("slow", body, tracker.url)
    async with (
        coordinator(broker, settings=PATIENT),
        producer(broker) as submitter,
        recording(broker) as recorder,
        seeding(tmp_path / "seed", tracker, made, bytes_per_s=SLOW_BYTES_PER_S),
    ):
        node = Rig(tmp_path, "node-1", submitter, recorder)
        async with running_node(broker, tmp_path):
            task = await node.submit(made.magnet(tracker.url))
            part = node.staged(task) / "swarm" / "1"
            await eventually(lambda: part.exists() and part.stat().st_blocks * 512 > SIZE, within_s=30, what="a part")
            daemon = node.aria2c("torrent")
            assert daemon is not None
            daemon.kill()
        tracker.announces.clear()
        async with running_node(broker, tmp_path):
            assert (await completed(node, task)).digest == digest(body)
    assert 0 < max(one.left for one in tracker.announces if one.info_hash == made.info_hash) < SLOW_BYTES


@pytest.mark.slow
async def test_a_paused_torrent_goes_on_where_it_was_and_a_cancelled_one_leaves_nothing(
    node: Rig, broker: Broker, tracker: Tracker, tmp_path: Path
) -> None:
    body = os.urandom(SLOW_BYTES)
    made, other = make("slow", body, tracker.url), make("other", os.urandom(SLOW_BYTES), tracker.url)
    async with (
        seeding(tmp_path / "seed", tracker, made, other, bytes_per_s=SLOW_BYTES_PER_S // 4),
        open_client(broker.url, broker.creds(Role.OPERATOR)) as operator,
    ):
        paused, cancelled = await node.submit(torrent=inline(made)), await node.submit(torrent=inline(other))
        for task, verb in ((paused, "pause"), (cancelled, "cancel")):
            # Each as soon as it has something: the other may find its peer only when this one is whole.
            part = node.staged(task) / "swarm" / "1"
            await eventually(lambda: part.exists() and part.stat().st_blocks > 0, within_s=30, what="a part")  # noqa: B023
            await operator.steer(verb, (task,))
        await eventually(lambda: "paused" in node.recorder.kinds(paused), what="paused")
        assert (await node.outcome(cancelled)).kind == "finished.cancelled"
        await operator.steer("resume", (paused,))
        assert (await completed(node, paused)).digest == digest(body)
    await eventually(lambda: not node.staged(cancelled).exists(), what="the partial to go")


async def test_no_aria2c_listens_for_peers_before_the_first_torrent(node: Rig, origin: Origin) -> None:
    origin.files["plain"] = b"x"
    await completed(node, await node.submit(origin.url("file/plain")))
    assert node.aria2c("torrent") is None
    await node.submit(torrent=inline(make("x", b"1", origin.url("announce"))))
    await eventually(lambda: node.aria2c("torrent"), what="the lane for torrents")


@pytest.mark.slow
async def test_a_tracker_that_hangs_does_not_hold_up_what_is_whole(node: Rig, tracker: Tracker, tmp_path: Path) -> None:
    made = make("held", os.urandom(SIZE), tracker.url)
    tracker.hangs_on = frozenset({"completed", "stopped"})
    async with seeding(tmp_path / "seed", tracker, made):
        outcome = await completed(node, await node.submit(torrent=inline(made)), within_s=15)
    assert outcome.bytes == SIZE
