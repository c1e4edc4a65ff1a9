"""Origins that misbehave, against a whole node with real aria2c: each failure has its class, no wrong file is whole."""

import gzip
import hashlib
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.event import AttemptFailed, Completed, Failed
from schemas.task import FailureClass
from tests.harness.bad_origin import BadOrigin, Manner, misbehaving
from tests.harness.broker import Broker
from tests.harness.files import files_below
from tests.harness.node import Rig, rig

pytestmark = pytest.mark.anyio

SMALL = random.Random(1).randbytes(300_000)
LARGE = random.Random(2).randbytes(12 << 20)
CUT = 100_000
PERMANENT, TRANSIENT, DAMAGED = FailureClass.PERMANENT, FailureClass.TRANSIENT, FailureClass.DAMAGED
STALL_S = 2.0


def sha256(body: bytes) -> str:
    return f"sha-256={hashlib.sha256(body).hexdigest()}"


@pytest.fixture
async def impatient(broker: Broker, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(broker, tmp_path, stall_timeout_s=STALL_S) as running:
        yield running


async def once(node: Rig, origin: BadOrigin, manner: Manner, **fields: object) -> Completed | AttemptFailed:
    """How the first and only attempt at a file so served ends."""
    return (await all_at_once(node, origin, {"file": manner}, **fields))["file"]


async def all_at_once(
    node: Rig, origin: BadOrigin, manners: dict[str, Manner], **fields: object
) -> dict[str, Completed | AttemptFailed]:
    """How the first and only attempt at each file ends, by its name."""
    origin.manners |= manners
    tasks = {name: await node.submit(origin.url(name), max_attempts=1, **fields) for name in manners}
    ended: dict[str, Completed | AttemptFailed] = {}
    for name, task in tasks.items():
        outcome = await node.outcome(task)
        ended[name] = outcome if isinstance(outcome, Completed) else await node.failure(task)
    return ended


def said(ended: dict[str, Completed | AttemptFailed]) -> dict[str, tuple[str, str]]:
    """Class and code of each failure."""
    return {
        name: (str(one.failure), one.code) if isinstance(one, AttemptFailed) else ("completed", one.digest)
        for name, one in ended.items()
    }


async def test_refusals_that_stay_end_the_task(node: Rig, bad: BadOrigin) -> None:
    refusals = {f"status-{status}": Manner(status=status) for status in (400, 403, 404, 405, 410)}
    astray = {
        "loop": Manner(status=302, location="/loop"),
        "endless": Manner(status=302, location="/endless?{n}"),
        "nothing": Manner(status=302, location="/not-there"),
        "credentials": Manner(status=401),
    }
    ended = await all_at_once(node, bad, refusals | astray)
    assert said(ended) == {
        **{name: ("permanent", name.replace("status", "http")) for name in refusals},
        "loop": ("permanent", "aria2-23"),
        "endless": ("permanent", "aria2-23"),
        "nothing": ("permanent", "http-404"),
        "credentials": ("permanent", "aria2-24"),
    }


@pytest.mark.parametrize("options", [{}, {"split": 4}], ids=["small", "large"])
async def test_trouble_that_may_pass_is_tried_again(node: Rig, bad: BadOrigin, options: dict[str, int]) -> None:
    statuses = {f"status-{status}": Manner(status=status) for status in (408, 425, 429, 500, 502, 503, 504)}
    broken = {
        "cut": Manner(body=SMALL, cut_at=CUT),
        "reset": Manner(body=SMALL, cut_at=CUT, cut_how="reset"),
        "chunks-cut": Manner(body=SMALL, cut_at=CUT, length="chunked"),
        "dead": Manner(status=302, location="http://127.0.0.1:9/"),
        "no-host": Manner(status=302, location="http://nowhere.invalid/"),
    }
    ended = await all_at_once(node, bad, statuses | broken, options=options)
    assert said(ended) == {
        **{name: ("transient", name.replace("status", "http")) for name in statuses},
        **dict.fromkeys(broken, ("transient", "aria2-1")),
        "no-host": ("transient", "aria2-19"),
    }


async def test_what_does_not_fit_together_is_a_damaged_partial(node: Rig, bad: BadOrigin) -> None:
    manners = {
        "416": Manner(status=416),
        "other-range": Manner(body=SMALL, cut_at=CUT, ranges="shift", etag='"1"'),
        "no-range": Manner(body=SMALL, cut_at=CUT, ranges="ignore", etag='"1"'),
        "too-long": Manner(body=SMALL, length_off_by=500, etag='"1"'),
    }
    ended = await all_at_once(node, bad, manners)
    assert {name: failure for name, (failure, _) in said(ended).items()} == dict.fromkeys(manners, "damaged"), ended
    assert "data" not in {file.name for file in files_below(node.downloads)}, "wiped"


async def test_an_origin_that_does_not_speak_tls_is_tried_again(node: Rig, bad: BadOrigin) -> None:
    bad.manners["file"] = Manner(body=SMALL)
    task = await node.submit(bad.url("file").replace("http:", "https:"), max_attempts=1)
    assert (await node.failure(task)).failure is TRANSIENT


@pytest.mark.parametrize("known", ["size", "checksum"])
async def test_a_file_whose_size_or_checksum_is_known_is_never_called_whole_when_it_is_not(
    node: Rig, bad: BadOrigin, known: str
) -> None:
    manners = {
        "cut-without-a-length": Manner(body=SMALL, length="close", cut_at=CUT),
        "shorter-announced-than-sent": Manner(body=SMALL, length_off_by=-500),
        "another-file": Manner(body=SMALL[:-1]),
    }
    fields = {"size": len(SMALL)} if known == "size" else {"checksum": sha256(SMALL)}
    ended = await all_at_once(node, bad, manners, **fields)
    assert said(ended) == dict.fromkeys(manners, ("damaged", f"{known}-mismatch"))


@pytest.mark.parametrize("options", [{}, {"split": 8}], ids=["small", "large"])
async def test_odd_origins_that_send_all_of_the_file_are_no_failures(
    node: Rig, bad: BadOrigin, options: dict[str, int]
) -> None:
    odd = {
        "HEAD is not allowed": Manner(head=405),
        "HEAD is forbidden": Manner(head=403),
        "HEAD is not implemented": Manner(head=501),
        "HEAD is not answered": Manner(head="silent"),
        "HEAD says 0": Manner(head_length=0),
        "HEAD says another length": Manner(head_length=77),
        "chunks": Manner(length="chunked"),
        "no length": Manner(length="close"),
        "ranges are ignored": Manner(ranges="ignore"),
        "other ranges are sent": Manner(ranges="shift"),
        "ranges are refused": Manner(ranges="refuse"),
    }
    named = {name.replace(" ", "-"): replace(manner, body=LARGE[: 3 << 20]) for name, manner in odd.items()}
    ended = await all_at_once(node, bad, named, options=options)
    assert said(ended) == dict.fromkeys(named, ("completed", sha256(LARGE[: 3 << 20])))


async def test_what_an_origin_packs_unasked_is_stored_as_it_was_sent(node: Rig, bad: BadOrigin) -> None:
    packed = gzip.compress(SMALL)
    ended = await once(node, bad, Manner(body=packed, extra=("Content-Encoding: gzip",)))
    assert isinstance(ended, Completed)
    assert ended.digest == sha256(packed)


@pytest.mark.parametrize("head", ["same", 200, 405])
async def test_retry_after_is_honoured_whatever_head_answers(node: Rig, bad: BadOrigin, head: int | str) -> None:
    manners = {str(status): Manner(status=status, retry_after="2", head=head, body=SMALL) for status in (429, 503)}
    bad.manners |= manners
    tasks = [await node.submit(bad.url(name)) for name in manners]
    failed = [await node.failure(task) for task in tasks]
    assert [fact.retry_after_s for fact in failed] == [2, 2]
    bad.manners |= dict.fromkeys(manners, Manner(body=SMALL))
    for task, fact in zip(tasks, failed, strict=True):
        completed = await node.outcome(task)
        assert isinstance(completed, Completed)
        assert completed.time - fact.time > timedelta(seconds=1.9)


async def test_retry_after_may_be_a_date(node: Rig, bad: BadOrigin) -> None:
    due = datetime.now(UTC) + timedelta(seconds=90)
    ended = await once(node, bad, Manner(status=503, retry_after=format_datetime(due, usegmt=True)))
    assert isinstance(ended, AttemptFailed)
    assert ended.retry_after_s is not None
    assert 60 < ended.retry_after_s <= 91


async def test_an_origin_that_asks_to_be_left_alone_is_not_asked_by_aria2_too(node: Rig, bad: BadOrigin) -> None:
    await once(node, bad, Manner(status=503, retry_after="9"))
    assert len(bad.asked) == 2, "once by HEAD, once by GET"


@pytest.mark.parametrize("options", [{}, {"split": 4}], ids=["small", "large"])
@pytest.mark.parametrize("status", [429, 503])
async def test_nor_by_aria2_itself_where_it_is_the_first_to_hear_it(
    node: Rig, bad: BadOrigin, status: int, options: dict[str, int]
) -> None:
    """Size, name and digest are known, so aria2 asks first: it asks once, and the node once for how long."""
    known = {"size": len(SMALL), "out": "f", "checksum": sha256(SMALL)}
    ended = await once(node, bad, Manner(status=status, retry_after="9"), options=options, **known)
    assert isinstance(ended, AttemptFailed)
    assert (ended.code, ended.retry_after_s, ended.origin) == (f"http-{status}", 9, f"127.0.0.1:{bad.port}")
    assert [one.method for one in bad.asked] == ["GET", "GET"]


@pytest.mark.parametrize("status", [429, 503])
async def test_nor_where_the_node_asks_about_the_file_before_aria2(node: Rig, bad: BadOrigin, status: int) -> None:
    ended = await once(node, bad, Manner(status=status, retry_after="9"), options={"split": 4}, size=len(SMALL))
    assert isinstance(ended, AttemptFailed)
    assert (ended.code, ended.retry_after_s) == (f"http-{status}", 9)
    assert [one.method for one in bad.asked] == ["HEAD", "GET"]


async def test_a_partial_outlives_an_origin_that_wants_to_be_left_alone(node: Rig, bad: BadOrigin) -> None:
    whole = Manner(body=LARGE, etag='"1"')
    bad.manners["file"] = replace(whole, cut_at=6 << 20, cut_how="stall")
    task = await node.submit(bad.url("file"), options={"split": 1})
    kept = await node.partial(task, 5 << 20)
    bad.manners["file"] = replace(whole, status=503, retry_after="1")
    bad.cut_all()
    assert (await node.failure(task)).code == "http-503"
    assert (node.staged(task) / "data").stat().st_size >= kept
    bad.manners["file"] = whole
    completed = await node.outcome(task)
    assert isinstance(completed, Completed)
    assert completed.digest == sha256(LARGE)
    assert max(one.first or 0 for one in bad.gets("file")) >= 5 << 20


async def test_of_several_mirrors_the_one_that_asks_to_be_left_alone_is_named(node: Rig, bad: BadOrigin) -> None:
    async with misbehaving() as busy:
        bad.manners, busy.manners = {"file": Manner(status=404)}, {"file": Manner(status=503, retry_after="9")}
        task = await node.submit(bad.url("file"), busy.url("file"), max_attempts=1)
        failed = await node.failure(task)
        assert (failed.code, failed.retry_after_s) == ("http-503", 9)
        assert failed.origin == f"127.0.0.1:{busy.port}"


async def test_a_failed_outcome_tells_all_its_attempts(node: Rig, bad: BadOrigin) -> None:
    bad.manners["file"] = Manner(status=500)
    task = await node.submit(bad.url("file"), max_attempts=3)
    outcome = await node.outcome(task)
    assert isinstance(outcome, Failed)
    told = [(one.attempt, one.node, one.failure, one.code) for one in outcome.history]
    assert told == [(number, "node-1", TRANSIENT, "http-500") for number in (1, 2, 3)]
    assert all("500" in one.reason for one in outcome.history)


@pytest.mark.parametrize("options", [{}, {"split": 4}], ids=["small", "large"])
async def test_a_stalled_origin_is_given_up_in_about_the_stall_timeout(
    impatient: Rig, bad: BadOrigin, options: dict[str, int]
) -> None:
    manners = {
        "stands-still": Manner(cut_at=CUT, cut_how="stall"),
        "trickles": Manner(bytes_per_s=20),
        "never-answers": Manner(is_silent=True),
    }
    served = {name: replace(manner, body=SMALL) for name, manner in manners.items()}
    ended = await all_at_once(impatient, bad, served, options=options, size=len(SMALL))
    assert said(ended) == dict.fromkeys(manners, ("transient", "stalled"))
    for one in ended.values():
        assert isinstance(one, AttemptFailed)
        assert "bytes came in the last" in one.reason
        started = next(event for event in impatient.recorder.of(one.task) if event.kind == "started")
        assert one.time - started.time < timedelta(seconds=3 * STALL_S)


async def test_a_slow_download_within_its_own_limit_is_no_stall(impatient: Rig, bad: BadOrigin) -> None:
    ended = await once(impatient, bad, Manner(body=SMALL[:30_000]), options={"max-download-limit": "8K"})
    assert isinstance(ended, Completed)


async def test_what_waits_inside_aria2_is_no_stall(broker: Broker, tmp_path: Path, bad: BadOrigin) -> None:
    async with rig(broker, tmp_path, stall_timeout_s=STALL_S, slots=1) as node:
        bad.manners["file"] = Manner(body=SMALL[:150_000], bytes_per_s=60_000)
        tasks = [await node.submit(bad.url("file")) for _ in range(3)]
        for task in tasks:
            assert isinstance(await node.outcome(task), Completed)
            assert node.failures(task) == []
