"""A file that changes at its origin while it is downloaded: never is the end of one version put behind another's."""

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from node import guard
from node.guard import VALIDATORS_NAME
from schemas.event import AnyEvent, Completed
from tests.harness.bad_origin import BadOrigin, Manner
from tests.harness.broker import Broker
from tests.harness.leader import coordinator
from tests.harness.node import PATIENT, Rig, running_node
from tests.harness.producing import producer
from tests.harness.recorder import recording
from tests.harness.waiting import eventually

pytestmark = pytest.mark.anyio

SIZE = 3 << 20
OLD, NEW = random.Random(1).randbytes(SIZE), random.Random(2).randbytes(SIZE)
SMALL_SIZE = 400_000
SPEED = 600_000
"""Bytes a second while a test waits for a partial."""
MARKS: list[dict[str, str]] = [
    {"etag": '"{}"'},
    {"etag": 'W/"{}"'},
    {"last_modified": "Fri, 01 Jan 2027 00:00:0{} GMT"},
]


def version(body: bytes, number: int, marks: dict[str, str], **fields: object) -> Manner:
    """The file as its `number`th version."""
    named = {name: text.format(number) for name, text in marks.items()}
    return replace(Manner(body=body), **named, **fields)


def check(outcome: AnyEvent, body: bytes) -> None:
    assert isinstance(outcome, Completed), outcome
    assert outcome.digest == f"sha-256={hashlib.sha256(body).hexdigest()}"


async def kill_aria2c(node: Rig, lane: str) -> None:
    child = node.aria2c(lane)
    assert child is not None
    child.kill()


@pytest.mark.parametrize("marks", MARKS, ids=["etag", "weak etag", "date"])
async def test_a_partial_is_not_continued_when_the_file_changed(
    node: Rig, bad: BadOrigin, marks: dict[str, str]
) -> None:
    bad.manners["file"] = version(OLD, 1, marks, bytes_per_s=SPEED)
    task = await node.submit(bad.url("file"), options={"split": 2})
    await node.partial(task, 1 << 20)
    bad.manners["file"] = version(NEW, 2, marks)
    await kill_aria2c(node, "large")
    check(await node.outcome(task), NEW)
    assert node.failures(task) == [], "the same attempt began again"


async def test_a_partial_is_continued_when_the_file_is_still_the_same(node: Rig, bad: BadOrigin) -> None:
    bad.manners["file"] = Manner(body=OLD, etag='"1"', bytes_per_s=SPEED)
    task = await node.submit(bad.url("file"), options={"split": 1})
    await node.partial(task, 1 << 20)
    await anyio.sleep(1.5)  # its control file is saved each second
    bad.manners["file"] = Manner(body=OLD, etag='"1"')
    await kill_aria2c(node, "large")
    check(await node.outcome(task), OLD)
    first = bad.gets("file")[-1].first
    assert first is not None
    assert first >= 1 << 20


async def test_a_partial_that_is_larger_than_the_file_is_wiped(node: Rig, bad: BadOrigin) -> None:
    bad.manners["file"] = Manner(body=OLD, bytes_per_s=SPEED)
    task = await node.submit(bad.url("file"), options={"split": 1})
    await node.partial(task, 1 << 20)
    bad.manners["file"] = Manner(body=NEW[: 1 << 19])
    await kill_aria2c(node, "large")
    check(await node.outcome(task), NEW[: 1 << 19])


async def test_without_anything_to_compare_a_download_begins_again(node: Rig, bad: BadOrigin) -> None:
    bad.manners["file"] = Manner(body=OLD, length="chunked", bytes_per_s=SPEED)
    task = await node.submit(bad.url("file"))
    await node.partial(task, 1 << 19)
    bad.manners["file"] = Manner(body=NEW, length="chunked")
    await kill_aria2c(node, "large")
    check(await node.outcome(task), NEW)


async def test_a_checksum_spares_the_origin_all_questions(node: Rig, bad: BadOrigin) -> None:
    bad.manners["file"] = Manner(body=OLD, etag='"1"')
    digest = hashlib.sha256(OLD).hexdigest()
    task = await node.submit(bad.url("file"), options={"split": 4}, checksum=f"sha-256={digest}", size=SIZE, out="f")
    check(await node.outcome(task), OLD)
    assert not [asked for asked in bad.asked if asked.method == "HEAD"]


async def test_a_file_that_changes_between_two_connections_of_one_download_is_fetched_again(
    node: Rig, bad: BadOrigin
) -> None:
    bad.manners["file"] = version(OLD, 1, MARKS[0], bytes_per_s=SPEED)
    task = await node.submit(bad.url("file"), options={"split": 2, "min-split-size": "1M"})
    await node.partial(task, 1 << 19)
    bad.manners["file"] = version(NEW, 2, MARKS[0])
    bad.cut_all()  # both connections are opened anew, by aria2 itself
    check(await node.outcome(task), NEW)
    (failed,) = node.failures(task)
    assert (failed.failure, failed.code) == ("damaged", "changed")
    assert failed.reason.startswith("the file changed at its origin: it was ETag")


async def test_a_broken_connection_of_a_small_file_is_continued_only_if_the_file_is_the_same(
    node: Rig, bad: BadOrigin
) -> None:
    bad.manners["same"] = version(OLD[:SMALL_SIZE], 1, MARKS[0], bytes_per_s=SPEED)
    bad.manners["changed"] = version(OLD[:SMALL_SIZE], 1, MARKS[0], bytes_per_s=SPEED)
    same, changed = await node.submit(bad.url("same")), await node.submit(bad.url("changed"))
    await node.partial(same, 100_000)
    await node.partial(changed, 100_000)
    bad.manners["same"] = version(OLD[:SMALL_SIZE], 1, MARKS[0])
    bad.manners["changed"] = version(NEW[:SMALL_SIZE], 2, MARKS[0])
    bad.cut_all()
    check(await node.outcome(same), OLD[:SMALL_SIZE])
    check(await node.outcome(changed), NEW[:SMALL_SIZE])
    assert node.failures(same) == node.failures(changed) == []
    assert (bad.gets("same")[-1].first or 0) >= 100_000
    assert bad.gets("changed")[-1].first is None


async def test_an_origin_whose_validators_change_with_each_answer_still_gives_its_file(
    node: Rig, bad: BadOrigin
) -> None:
    bad.manners["file"] = Manner(body=OLD, etag='"{n}"')
    task = await node.submit(bad.url("file"), options={"split": 2})
    check(await node.outcome(task), OLD)
    (failed,) = node.failures(task)
    assert failed.code == "changed"
    assert bad.gets("file")[-1].first is None, "by one answer, from the first byte to the last"


async def test_mirrors_are_compared_each_with_itself(node: Rig, bad: BadOrigin) -> None:
    bad.manners |= {"one": Manner(body=OLD, etag='"1"'), "two": Manner(body=OLD, etag='"other"')}
    task = await node.submit(bad.url("one"), bad.url("two"))
    check(await node.outcome(task), OLD)
    assert node.failures(task) == []


async def test_a_small_fresh_file_costs_one_head_and_one_get(node: Rig, bad: BadOrigin) -> None:
    bad.manners["file"] = Manner(body=OLD[:1000], etag='"1"')
    task = await node.submit(bad.url("file"))
    check(await node.outcome(task), OLD[:1000])
    assert [asked.method for asked in bad.asked] == ["HEAD", "GET"]


@pytest.mark.parametrize("options", [{}, {"split": 2}], ids=["small", "large"])
async def test_a_restarted_node_compares_before_it_goes_on(
    broker: Broker, tmp_path: Path, bad: BadOrigin, options: dict[str, int]
) -> None:
    async with coordinator(broker, settings=PATIENT), producer(broker) as submitter, recording(broker) as recorder:
        node = Rig(tmp_path, "node-1", submitter, recorder)
        bad.manners["file"] = version(OLD, 1, MARKS[0], bytes_per_s=100_000)
        async with running_node(broker, tmp_path):
            task = await node.submit(bad.url("file"), options=options)
            await node.partial(task, 100_000)
            await eventually((node.staged(task) / VALIDATORS_NAME).exists)
        bad.manners["file"] = version(NEW, 2, MARKS[0])
        async with running_node(broker, tmp_path):
            check(await node.outcome(task), NEW)


@pytest.mark.parametrize("is_known", [False, True], ids=["without", "with"])
async def test_after_a_power_cut_a_partial_is_continued_with_a_checksum_alone(
    broker: Broker, tmp_path: Path, bad: BadOrigin, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    boots: list[str] = ["first", "second"]
    read: Callable[[], str] = lambda: boots.pop(0)  # noqa: E731
    monkeypatch.setattr(guard, "_boot_id", read)
    known = {"checksum": f"sha-256={hashlib.sha256(OLD).hexdigest()}"} if is_known else {}
    async with coordinator(broker, settings=PATIENT), producer(broker) as submitter, recording(broker) as recorder:
        node = Rig(tmp_path, "node-1", submitter, recorder)
        bad.manners["file"] = Manner(body=OLD, etag='"1"', bytes_per_s=150_000)
        async with running_node(broker, tmp_path):
            task = await node.submit(bad.url("file"), **known)
            await node.partial(task, 500_000)
            await eventually(lambda: is_known or (node.staged(task) / VALIDATORS_NAME).exists())
        bad.manners["file"] = Manner(body=OLD, etag='"1"')
        async with running_node(broker, tmp_path):
            check(await node.outcome(task), OLD)
        assert (bad.gets("file")[-1].first is not None) is is_known
